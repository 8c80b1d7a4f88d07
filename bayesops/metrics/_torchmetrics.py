"""torchmetrics, where it is used: an optional extra."""

from typing import Any


def classification(function: str) -> Any:
    """Return ``torchmetrics.functional.classification``, or say how to install it."""
    try:
        import torchmetrics.functional.classification as module
    except ModuleNotFoundError as error:
        message = f"{function}: needs torchmetrics: pip install 'bayesops[metrics]'"
        raise ModuleNotFoundError(message) from error
    return module
