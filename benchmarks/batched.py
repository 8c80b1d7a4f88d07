"""The rival convolutions where every sample has a batch of its own, ``[T, N, C, H, W]``; masks as in `convolutions`.

Ours has two ways on a device (`bayesops.ops._sample_convolution`), between which it chooses by shape: both are here.
"""

import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from bayesops.ops import _sample_convolution
from benchmarks.convolutions import masked
from benchmarks.side_by_side import Rival


def looped(inputs: Tensor, weight: Tensor, p: float, padding: int) -> list[Tensor]:
    """Convolve batch by batch, each with its own masked weight."""
    return [F.conv2d(batch, masked(weight, p), padding=padding) for batch in inputs]


def grouped(inputs: Tensor, weight: Tensor, p: float, padding: int) -> Tensor:
    """Convolve all batches as T groups of one convolution, each with its own masked weight."""
    weights = masked(weight, p, len(inputs)).flatten(0, 1)
    images = inputs.transpose(0, 1).flatten(1, 2)
    output = F.conv2d(images, weights, padding=padding, groups=len(inputs))
    return output.unflatten(1, (len(inputs), -1)).transpose(0, 1)


def vmapped(inputs: Tensor, weight: Tensor, p: float, padding: int) -> Tensor:
    """Convolve with `torch.vmap` over the batches, each with its own masked weight."""

    def one(batch: Tensor) -> Tensor:
        return F.conv2d(batch, masked(weight, p), padding=padding)

    return torch.vmap(one, randomness="different")(inputs)


def compiled_loop(inputs: Tensor, weight: Tensor, p: float, padding: int) -> Rival:
    """Compile the loop's body: as a whole it took half a minute to compile and came out slower."""

    @torch.compile(dynamic=False)
    def body(batch: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(batch, masked(weight, p), padding=padding)

    return Rival("looped, body compiled", lambda: [body(batch, weight) for batch in inputs], optional=True)


def ours_each_way(call: Callable[[], Any]) -> list[Rival]:
    """Our operator with all samples as groups of one convolution, and with a convolution for each."""

    def from_work(least: float) -> Callable[[], Any]:
        def run() -> Any:
            with mock.patch.object(_sample_convolution, "ALONE_FROM", least):
                return call()

        return run

    return [Rival("ours, in groups", from_work(math.inf)), Rival("ours, each alone", from_work(0))]
