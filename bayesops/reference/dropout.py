"""Dropout in plain PyTorch: draw the mask, multiply, rescale."""

import torch
from torch import Tensor

from bayesops import random


def dropout(
    input: Tensor,
    *,
    p: float,
    seed: int | Tensor,
    granularity: str = "element",
    mask: Tensor | None = None,
    stream: int = 0,
    shared_input: bool = False,
) -> Tensor:
    """`bayesops.ops.dropout`: ``[N, C, *]``, or where `seed` is ``[S]`` ``[S, N, C, *]`` (``[N, C, *]`` if shared)."""
    seeds = torch.as_tensor(seed, dtype=torch.int64)
    examples, channels, *space = input.shape if shared_input or seeds.dim() == 0 else input.shape[1:]
    if mask is None and granularity == "element":
        mask = random.bernoulli_mask(seeds, (examples, *space, channels), p, stream).movedim(-1, seeds.dim() + 1)
    elif mask is None:
        mask = random.bernoulli_mask(seeds, (examples, channels), p, stream)
    if granularity == "channel":
        mask = mask.reshape(*mask.shape, *[1] * len(space))
    if seeds.dim() == 1 and shared_input:
        input = input.expand(len(seeds), *input.shape)
    return input * mask.to(input.dtype) / (1 - p)
