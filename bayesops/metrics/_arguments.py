"""Argument checks that the measures share; messages are those of the operators."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from bayesops._arguments import check_choice, check_floating, wrong_type, wrong_value
from bayesops._dtypes import at_least_float32
from bayesops.engine.prediction import Prediction

REDUCTIONS = ("mean", "sum", "none")
# How far rounding, of bfloat16 above all, may take a value out of its range; in parts of the range.
_SLACK = 0.01


def probabilities_of(function: str, value: Tensor | Prediction, name: str = "probabilities") -> Tensor:
    """Return the predictive probabilities ``[N, C, *]``, in float32 at least, of a tensor or a prediction."""
    if isinstance(value, Prediction):
        check_softmax(function, name, value)
        value = value.mean
    check_floating(function, name, value)
    if value.dim() < 2:
        wrong_value(function, name, "of shape [N, C, *]", f"shape {tuple(value.shape)}")
    return at_least_float32(value)


def check_softmax(function: str, name: str, prediction: Prediction) -> None:
    """Check that a prediction is one of probabilities."""
    if prediction.link != "softmax":
        wanted = "a tensor, or a Prediction with link='softmax'"
        wrong_value(function, name, wanted, f"one with link={prediction.link!r}")


def counted(function: str, target: Tensor, probabilities: Tensor, ignore_index: int) -> Tensor:
    """Check the classes `target` ``[N, *]``, and say which of them count: bool ``[N, *]``."""
    shape = (*probabilities.shape[:1], *probabilities.shape[2:])
    check_classes(function, "target", target)
    check_shape(function, "target", target, shape)
    check_device(function, "target", target, probabilities.device)
    counts = target != ignore_index
    check_class_range(function, "target", target, counts, probabilities.shape[1], f" or {ignore_index} (ignored)")
    return counts


def check_classes(function: str, name: str, classes: Any) -> None:
    """Check that `classes` is a tensor of integers."""
    if not isinstance(classes, Tensor):
        wrong_type(function, name, "a tensor of classes", type(classes).__name__)
    if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool:
        wrong_type(function, name, "of int64", classes.dtype)


def check_class_range(
    function: str, name: str, classes: Tensor, counts: Tensor, num_classes: int, or_else: str = ""
) -> None:
    """Check that the classes that count are in range."""
    wrong = classes[counts & ((classes < 0) | (classes >= num_classes))]
    if len(wrong):
        wrong_value(function, name, f"in [0, {num_classes}){or_else}", int(wrong[0]))


def check_shape(function: str, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Check for exactly this shape: nothing is broadcast."""
    if tuple(tensor.shape) != tuple(shape):
        wrong_value(function, name, f"of shape {tuple(shape)}", f"shape {tuple(tensor.shape)}")


def check_device(function: str, name: str, tensor: Tensor, device: torch.device) -> None:
    """Check that `tensor` is where the others are."""
    if tensor.device != device:
        raise RuntimeError(f"{function}: argument '{name}' must be on the device {device}, got {tensor.device}")


def check_range(
    function: str, name: str, values: Tensor, upper: float, hint: str = "", *, allow_nan: bool = False
) -> None:
    """Check for ``[0, upper]``, but for rounding."""
    least, most = -_SLACK * upper, (1 + _SLACK) * upper
    outside = (values < least) | (values > most) if allow_nan else ~((values >= least) & (values <= most))
    if outside.any():
        wrong_value(function, name, f"in [0, {upper:.6g}]{hint}", f"{float(values[outside][0]):.6g}")


def check_not_nan(function: str, name: str, values: Tensor) -> None:
    """Refuse NaN, which has no rank."""
    if count := int(values.isnan().sum()):
        wrong_value(function, name, "free of NaN", f"{count} of them")


def check_ignore_index(function: str, value: Any) -> int:
    """Return `value`, an int."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        wrong_type(function, "ignore_index", "an int", repr(value))
    return int(value)


def check_reduction(function: str, reduction: str) -> None:
    """Check for one of the three."""
    check_choice(function, "reduction", reduction, REDUCTIONS)


def reduced(values: Tensor, reduction: str, counts: Tensor | None = None) -> Tensor:
    """Reduce in float64 over the elements that count; the mean of none is NaN."""
    if reduction == "none":
        return values
    total = values.sum(dtype=torch.float64)
    if reduction == "sum":
        return total
    return total / (values.numel() if counts is None else counts.sum())
