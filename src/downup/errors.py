"""The errors that downup raises on purpose; the command line prints them as one sentence, without a traceback."""

from __future__ import annotations


class DownupError(Exception):
    """An error whose message tells the user what is wrong, where, and the way out."""


class ArgumentError(DownupError, ValueError, RuntimeError):
    """An argument outside its range.

    Both a ValueError and a RuntimeError, so that code written for Keras or for PyTorch catches it.

    >>> isinstance(ArgumentError("stride is 0; use stride >= 1"), (ValueError, RuntimeError))
    True
    """


class DataError(DownupError):
    """A file or folder that cannot be used; the message names it and the cure."""


class MissingPackageError(DownupError, ImportError):
    """A command or function needs a package that is not installed; the message says what to install."""
