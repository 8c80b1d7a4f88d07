"""Sums in which threads do not show.

PyTorch cuts a sum of everything into one part for each thread, from 32768 numbers on; one that leaves several results
it shares out by results. So a sum of everything is taken in two steps here: of parts of a fixed length, and of these.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MANY = 32768
_PART = 4096


def total(values: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return ``values.sum(dtype=dtype)``."""
    if not values.is_cpu or values.numel() < _MANY:
        return values.sum(dtype=dtype)
    results = dtype or values.dtype
    values, computing = values.reshape(-1), torch.promote_types(results, torch.float32)
    while values.numel() >= _MANY:
        whole = values.numel() // _PART * _PART
        parts = values[:whole].view(-1, _PART).sum(1, dtype=computing)
        values = torch.cat([parts, values[whole:].sum(dtype=computing).reshape(1)])
    return values.sum().to(results)


def sum_keeping(values: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the sum over all dimensions but those of `kept`, which are in order."""
    sizes = [values.shape[d] for d in kept]
    if values.is_cpu and math.prod(sizes) == 1:
        return total(values).reshape(sizes)
    return values.sum([d for d in range(values.dim()) if d not in kept]) if len(kept) < values.dim() else values


def expand(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Return ``value.expand(shape)``; where that is one number for all, its gradient is a `total`."""
    count = math.prod(shape)
    alone = value.is_cpu and value.numel() == 1 and value.dim() <= len(shape)
    if not (alone and count >= _MANY and value.requires_grad):
        return value.expand(shape)
    rows = -(-count // _PART)
    spread = value.reshape(()) if rows < _MANY else expand(value, (rows,))
    return spread.expand(rows).unsqueeze(1).expand(rows, _PART).reshape(-1)[:count].view(shape)
