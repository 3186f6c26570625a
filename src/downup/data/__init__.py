"""Pictures and masks from folders, and the Earth sample that downup ships; needs no torch."""

from downup.data import earth
from downup.data.check import Balance, CheckReport, check_dataset
from downup.data.colors import CLASS_COLORS, IGNORED_COLOR, ClassInfo, class_colors, flat_palette
from downup.data.folder import open_dataset
from downup.data.lookup import lookup_baseline
from downup.data.masks import MaskCoding, read_mask
from downup.data.metadata import NetworkMetadata
from downup.data.pictures import read_picture
from downup.data.problems import FileError, Problem
from downup.data.samples import IGNORED, Dataset, Sample

__all__ = [
    "CLASS_COLORS",
    "IGNORED",
    "IGNORED_COLOR",
    "Balance",
    "CheckReport",
    "ClassInfo",
    "Dataset",
    "FileError",
    "MaskCoding",
    "NetworkMetadata",
    "Problem",
    "Sample",
    "check_dataset",
    "class_colors",
    "earth",
    "flat_palette",
    "lookup_baseline",
    "open_dataset",
    "read_mask",
    "read_picture",
]
