"""Numbers as people read them."""

import math

from bayesops.profiling.timing import Spread

NONE = "–"


def time(seconds: float | None) -> str:
    """Three digits and a unit."""
    if seconds is None:
        return NONE
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-6)} µs"


def size(count: int | None) -> str:
    """Bytes, with a unit."""
    if count is None:
        return NONE
    for unit, bytes_of in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= 0.9995 * bytes_of:
            return f"{digits(count / bytes_of)} {unit}"
    return f"{count} B"


def digits(value: float) -> str:
    """Three of them, and never an exponent."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def ratio(spread: Spread) -> str:
    """Median and quartiles."""
    return f"{spread.median:.2f} [{spread.lower:.2f}, {spread.upper:.2f}]"


def percent(share: float | None) -> str:
    """Write a share."""
    return NONE if share is None else f"{100 * share:.0f} %"


def error(value: float | None) -> str:
    """Write a standard error: two digits that count, and an exponent only where it is tiny."""
    if value is None:
        return NONE
    rounded = float(f"{value:.1e}")
    return f"{value:.1e}" if 0 < rounded < 1e-6 else f"{value:.{max(0, 1 - _exponent(rounded))}f}"


def _exponent(value: float) -> int:
    """Of ten, below it; 1 for zero."""
    return math.floor(math.log10(value)) if value > 0 else 1
