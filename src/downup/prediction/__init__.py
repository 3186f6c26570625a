"""Labels pictures of any size with a trained network, and scores the labels; no torch."""

from downup.prediction.loop import DEFAULT_WINDOW, Outcome, Progress, label_folder, label_picture
from downup.prediction.score import DatasetScores, LabelledPicture, PictureScore, score_dataset
from downup.prediction.session import Session
from downup.prediction.sinks import write_labels, write_overlay
from downup.prediction.sources import Found, find_pictures
from downup.prediction.windows import Span, Window, largest_window, split

__all__ = [
    "DEFAULT_WINDOW",
    "DatasetScores",
    "Found",
    "LabelledPicture",
    "Outcome",
    "PictureScore",
    "Progress",
    "Session",
    "Span",
    "Window",
    "find_pictures",
    "label_folder",
    "label_picture",
    "largest_window",
    "score_dataset",
    "split",
    "write_labels",
    "write_overlay",
]
