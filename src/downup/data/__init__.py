"""Pictures and masks from folders, and the Earth sample that downup ships; needs no torch."""

from downup.data import earth
from downup.data.colors import CLASS_COLORS, IGNORED_COLOR, ClassInfo, class_colors, flat_palette
from downup.data.samples import IGNORED, Dataset, Sample

__all__ = [
    "CLASS_COLORS",
    "IGNORED",
    "IGNORED_COLOR",
    "ClassInfo",
    "Dataset",
    "Sample",
    "class_colors",
    "earth",
    "flat_palette",
]
