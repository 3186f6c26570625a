"""Pictures of any size, read in parts: found, opened, and turned into what a network sees."""

from downup.prediction.sources.array import Sliceable
from downup.prediction.sources.found import Found, find_pictures
from downup.prediction.sources.image import Image
from downup.prediction.sources.labels import open_label_file
from downup.prediction.sources.ome_zarr import is_zarr
from downup.prediction.sources.opening import open_image
from downup.prediction.sources.tiff import geographic_tags

__all__ = [
    "Found",
    "Image",
    "Sliceable",
    "find_pictures",
    "geographic_tags",
    "is_zarr",
    "open_image",
    "open_label_file",
]
