"""The rival convolutions: what a user of plain PyTorch would write for masked weights.

Masks come from ``torch.rand(...) >= p``: four times as fast as `bernoulli_`, where that is serial.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.side_by_side import Rival


@dataclass(frozen=True)
class Shape:
    """A convolution of square images and odd square windows that keeps the size."""

    examples: int
    channels: int
    out_channels: int
    size: int
    kernel: int = 3

    @property
    def padding(self) -> int:
        return self.kernel // 2

    @property
    def reduction(self) -> int:
        return self.channels * self.kernel**2

    @property
    def operations(self) -> float:
        """Multiplications and additions of one convolution."""
        return 2.0 * self.examples * self.out_channels * self.reduction * self.size**2

    def tensors(self, channels_last: bool = False) -> tuple[Tensor, Tensor]:
        x = torch.randn(self.examples, self.channels, self.size, self.size)
        w = torch.randn(self.out_channels, self.channels, self.kernel, self.kernel) / self.reduction**0.5
        if channels_last:
            return x.contiguous(memory_format=torch.channels_last), w.contiguous(memory_format=torch.channels_last)
        return x, w

    @property
    def label(self) -> str:
        window = f"{self.kernel} × {self.kernel}"
        return f"N = {self.examples}, {self.channels} → {self.out_channels}, {self.size} × {self.size}, {window}"

    def __str__(self) -> str:
        return f"n{self.examples}-c{self.channels}-o{self.out_channels}-{self.size}x{self.size}-k{self.kernel}"


def masked(weight: Tensor, p: float, *leading: int) -> Tensor:
    """Return `weight` under fresh masks, one for each of the `leading` sizes."""
    return weight * (1 / (1 - p)) * (torch.rand(*leading, *weight.shape) >= p)


def grouped(images: Tensor, weight: Tensor, p: float, padding: int) -> Tensor:
    """Convolve image i of ``[N, C, H, W]`` with its own masked weight, as N groups of one convolution."""
    count, channels, *size = images.shape
    weights = masked(weight, p, count).flatten(0, 1)
    output = F.conv2d(images.reshape(1, count * channels, *size), weights, padding=padding, groups=count)
    return output.reshape(count, weight.shape[0], *output.shape[2:])


def looped(images: Tensor, weight: Tensor, p: float, padding: int) -> list[Tensor]:
    """Convolve image by image, each with its own masked weight."""
    return [F.conv2d(image, masked(weight, p), padding=padding) for image in images.split(1)]


def vmapped(images: Tensor, weight: Tensor, p: float, padding: int) -> Tensor:
    """Convolve with `torch.vmap` over the images, each with its own masked weight."""

    def one(image: Tensor) -> Tensor:
        # A functional draw: under vmap with randomness="different" every image gets its own.
        return F.conv2d(image[None], masked(weight, p), padding=padding)[0]

    return torch.vmap(one, randomness="different")(images)


def compiled(function: Callable[..., Any], *args: Any) -> Rival:
    """Compile a rival as a whole; it is missing where the compiler fails."""
    call = torch.compile(function, dynamic=False)
    return Rival(f"{function.__name__}, compiled", lambda: call(*args), optional=True)


def compiled_loop(images: Tensor, weight: Tensor, p: float, padding: int) -> Rival:
    """Compile the loop's body: as a whole it took half a minute to compile and came out slower."""

    @torch.compile(dynamic=False)
    def body(image: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(image, masked(weight, p), padding=padding)

    return Rival("looped, body compiled", lambda: [body(image, weight) for image in images.split(1)], optional=True)
