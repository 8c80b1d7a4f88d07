"""The rival convolutions: what a user of plain PyTorch would write for masked weights.

Masks come from ``torch.rand(...) >= p``: four times as fast as `bernoulli_`, where that is serial.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Form:
    """How tensors lie in memory."""

    dtype: torch.dtype = torch.float32
    channels_last: bool = False

    def randn(self, *size: int, device: torch.device) -> Tensor:
        x = torch.randn(*size, device=device, dtype=self.dtype)
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

    @property
    def label(self) -> str:
        """What follows a case's name: nothing for what is usual on the CPU."""
        name = f"{self}".replace("-nhwc", ", channels-last")
        return "" if self == FORM else f", {name}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {} if self == FORM else {"dtype": str(self.dtype), "channels_last": self.channels_last}

    def __str__(self) -> str:
        return f"{self.dtype}".removeprefix("torch.") + ("-nhwc" if self.channels_last else "")


FORM = Form()  # what is usual on the CPU
TF32, BF16 = Form(channels_last=True), Form(torch.bfloat16, channels_last=True)  # what a GPU is best at


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

    def tensors(self, device: torch.device, form: Form = FORM) -> tuple[Tensor, Tensor]:
        x = form.randn(self.examples, self.channels, self.size, self.size, device=device)
        w = form.randn(self.out_channels, self.channels, self.kernel, self.kernel, device=device)
        return x, w / self.reduction**0.5

    def gradient(self, device: torch.device, form: Form = FORM) -> Tensor:
        return form.randn(self.examples, self.out_channels, self.size, self.size, device=device)

    @property
    def label(self) -> str:
        window = f"{self.kernel} × {self.kernel}"
        return f"N = {self.examples}, {self.channels} → {self.out_channels}, {self.size} × {self.size}, {window}"

    def __str__(self) -> str:
        return f"n{self.examples}-c{self.channels}-o{self.out_channels}-{self.size}x{self.size}-k{self.kernel}"


def on_cpu(shapes: Iterable[Shape]) -> list[Any]:
    """Parameters (shape, form) of cases that a device leaves out."""
    return [pytest.param(shape, FORM, marks=pytest.mark.cpu_only) for shape in shapes]


def on_device(*cases: tuple[Shape, Form]) -> list[Any]:
    """Parameters (shape, form) of cases that the CPU leaves out."""
    return [pytest.param(*case, marks=pytest.mark.device_only) for case in cases]


def masked(weight: Tensor, p: float, *leading: int) -> Tensor:
    """Return `weight` under fresh masks, one for each of the `leading` sizes."""
    return weight * (1 / (1 - p)) * (torch.rand(*leading, *weight.shape, device=weight.device) >= p)


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
