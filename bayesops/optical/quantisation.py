"""Numbers of few bits, as light modulators show them and converters read them."""

import torch
from torch import Tensor


def quantise(values: Tensor, bits: int | None, low: Tensor, high: Tensor) -> Tensor:
    """Round to ``2**bits`` evenly spaced levels over ``[low, high]``, one of which is exactly 0.

    A weight that a mask has switched off stays off. No error exceeds half a step, where `values` lie in the range.

    Parameters
    ----------
    values : Tensor
        What is outside of the range becomes its end.
    bits : int or None
        None: as many levels as there are numbers.
    low, high : Tensor
        The range, at most and at least 0; they broadcast to `values`.

    Returns
    -------
    Tensor
        Of the shape of `values`. Its gradient is that of `values` (straight-through).

    Notes
    -----
    Source: Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons for
    conditional computation", 2013, section 4 (the straight-through estimator).
    """
    read = torch.minimum(torch.maximum(values, low), high)
    if bits is not None:
        step = (high - low) / (2**bits - 1)
        step = step.where(step > 0, 1)  # a range of nothing but 0
        # Both ends are as far above a level: rounding halves up, not to even, keeps their distance 2**bits - 1 steps.
        read = torch.floor(read / step + 0.5) * step
    return values + (read - values).detach()


def value_range(values: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest of `values`, and 0, over `dims`, which are kept with size 1."""
    return values.detach().amin(dims, keepdim=True).clamp(max=0), values.detach().amax(dims, keepdim=True).clamp(min=0)
