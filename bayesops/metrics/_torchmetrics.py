"""torchmetrics, where it is used: an optional extra."""

from typing import Any

from bayesops._optional import require


def classification(function: str) -> Any:
    """Return ``torchmetrics.functional.classification``, or say how to install it."""
    return require(function, "torchmetrics.functional.classification", "metrics")
