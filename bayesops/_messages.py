"""Warnings that point to the user's own line, and errors in a line."""

import sys
import warnings


def warn_user(message: str) -> None:
    """Warn, at the first frame outside of this package."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("bayesops."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def first_line(error: BaseException) -> str:
    """Name the kind of `error` and the first line of its message."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
