"""Means over draws without temporary tensors as large as all of them."""

from collections.abc import Callable

import torch
from torch import Tensor

from bayesops._arguments import check_floating, wrong_value
from bayesops._dtypes import at_least_float32

_ELEMENTS_AT_ONCE = 2**22


def check_draws(function: str, name: str, samples: Tensor, least_dims: int = 2) -> None:
    """Check for floating ``[T, N, *]``, T at least 1."""
    check_floating(function, name, samples)
    if samples.dim() < least_dims or len(samples) == 0:
        wanted = "of shape [T, N, C, *]" if least_dims > 2 else "of shape [T, N, *]"
        wrong_value(function, name, f"{wanted} with T at least 1", f"shape {tuple(samples.shape)}")


def class_dim(function: str, dim: int, tensor: Tensor, least: int) -> int:
    """Return the dimension of the classes, not negative, and not one of those before `least`."""
    positive = dim + tensor.dim() if dim < 0 else dim
    if not least <= positive < tensor.dim():
        wanted = f"a dimension of the classes, from {least} to {tensor.dim() - 1}"
        wrong_value(function, "dim", wanted, dim)
    return positive


def mean_over_draws(samples: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the mean over T of `value` of the draws ``[T, N, *]``, which it gets in float32 at least."""
    at_once = max(1, _ELEMENTS_AT_ONCE // max(1, samples[0].numel()))
    parts = [value(at_least_float32(part)).sum(0) for part in samples.split(at_once)]
    return torch.stack(parts).sum(0) / len(samples)
