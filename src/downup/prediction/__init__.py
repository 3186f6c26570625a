"""Labels pictures of any size with a trained network, and scores the labels; no torch."""

from downup.prediction.budget import DEFAULT_MEMORY, parse_bytes
from downup.prediction.labelling import Labelled, Progress, label_image
from downup.prediction.loop import DEFAULT_WINDOW, Outcome, label_folder, label_picture
from downup.prediction.score import DatasetScores, LabelledPicture, PictureScore, score_dataset
from downup.prediction.session import Session
from downup.prediction.settings import Settings
from downup.prediction.sinks import FORMATS, format_of, write_labels, write_overlay
from downup.prediction.sources import Found, Image, find_pictures, open_image
from downup.prediction.verify import Verified, open_labels, verify_labels
from downup.prediction.windows import Span, Window, split, windows_of

__all__ = [
    "DEFAULT_MEMORY",
    "DEFAULT_WINDOW",
    "FORMATS",
    "DatasetScores",
    "Found",
    "Image",
    "Labelled",
    "LabelledPicture",
    "Outcome",
    "PictureScore",
    "Progress",
    "Session",
    "Settings",
    "Span",
    "Verified",
    "Window",
    "find_pictures",
    "format_of",
    "label_folder",
    "label_image",
    "label_picture",
    "open_image",
    "open_labels",
    "parse_bytes",
    "score_dataset",
    "split",
    "verify_labels",
    "windows_of",
    "write_labels",
    "write_overlay",
]
