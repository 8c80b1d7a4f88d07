"""What the commands' arguments may be."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from bayesops._files import why_not_writable


class UsageError(Exception):
    """What the user asked for cannot be done; the message says why. Ends the command with status 2."""


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    if value >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: those have 64 bits")
    return value


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def probability(text: str) -> float:
    """Parse a number in [0, 1)."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not in [0, 1), the probability of dropping")
    return value


def seed(text: str) -> int:
    """Parse a whole number of 64 bits, with or without a sign."""
    try:
        value = int(text)
    except ValueError:
        value = 2**64
    if not -(2**63) <= value < 2**64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 64 bits")
    return value


def index_or_key(text: str) -> int | str:
    """Parse a whole number, or take the text as it is."""
    try:
        return int(text)
    except ValueError:
        return text


def check_files(files: Iterable[str | Path]) -> None:
    """Look, before the work, whether these can be written, each of them by itself.

    Raises
    ------
    UsageError
        Where one cannot, or two are the same.
    """
    seen = set()
    for file in files:
        if reason := why_not_writable(file):
            raise UsageError(reason)
        path = Path(file).resolve()
        if path in seen:
            raise UsageError(f"{file}: two files of the same name, one of which would be lost")
        seen.add(path)


def check_picture(path: Path) -> None:
    """Look, before the work, whether matplotlib draws what the ending of `path` says.

    Raises
    ------
    UsageError
        Where it does not.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix[1:].lower() not in kinds:
        raise UsageError(f"{path}: the ending says what to draw, one of {', '.join(kinds)}")


def set_threads(threads: int | None) -> None:
    """Let torch use `threads` threads, if a number is given."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
