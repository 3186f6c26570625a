"""Labelling with settings and arguments side by side, as tests choose them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from downup import prediction
from downup.prediction import Labelled, Outcome, Settings

_NAMES = {item.name for item in fields(Settings) if item.init}


def label_image(session: Any, source: Any, out: Any, **options: Any) -> Labelled:
    """`downup.prediction.label_image`."""
    settings, rest = _parted(options)
    return prediction.label_image(session, source, out, settings, **rest)


def label_folder(session: Any, paths: Any, out: Any, **options: Any) -> Outcome:
    """`downup.prediction.label_folder`."""
    settings, rest = _parted(options)
    return prediction.label_folder(session, paths, out, settings, **rest)


def _parted(options: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    chosen = {name: value for name, value in options.items() if name in _NAMES}
    return Settings(**chosen), {name: value for name, value in options.items() if name not in _NAMES}
