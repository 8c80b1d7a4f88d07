"""Small networks of the field, deterministic or Bayesian: for the benchmarks, the demo and the tests."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bayesops.convert import POSTERIORS, convert
from bayesops.ops._arguments import wrong_value


class LeNet5(nn.Sequential):
    """LeNet-5 (LeCun et al., 1998) with ReLU and max pooling, for images ``[N, C, 28, 28]`` or ``[N, C, 32, 32]``."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10, image_size: int = 28) -> None:
        padding = (32 - image_size) // 2
        super().__init__(
            nn.Conv2d(in_channels, 6, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120), nn.ReLU(),
            nn.Linear(120, 84), nn.ReLU(),
            nn.Linear(84, num_classes),
        )  # fmt: skip


class ThreeConvThreeFC(nn.Sequential):
    """The network "3conv3fc" of PyTorch-BayesianCNN (Shridhar et al., 2019): ``[N, C, 32, 32]`` to ``[N, classes]``."""

    def __init__(
        self, in_channels: int = 3, num_classes: int = 10, activation: Callable[[], nn.Module] = nn.Softplus
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 32, 5, padding=2), activation(), nn.MaxPool2d(3, 2),
            nn.Conv2d(32, 64, 5, padding=2), activation(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 128, 5, padding=1), activation(), nn.MaxPool2d(3, 2),
            nn.Flatten(),
            nn.Linear(2 * 2 * 128, 1000), activation(),
            nn.Linear(1000, 1000), activation(),
            nn.Linear(1000, num_classes),
        )  # fmt: skip


class _BasicBlock(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet18(nn.Sequential):
    """ResNet-18 (He et al., 2016) in its form for 32 x 32 images: a 3 x 3 stem without pooling; ``[N, C, 32, 32]``."""

    def __init__(self, in_channels: int = 3, num_classes: int = 10, width: int = 64) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        ]  # fmt: skip
        channels = width
        for stage in range(4):
            for block in range(2):
                out = width * 2**stage
                layers.append(_BasicBlock(channels, out, stride=2 if stage and not block else 1))
                channels = out
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


MODELS: dict[str, Callable[..., nn.Module]] = {"lenet5": LeNet5, "3conv3fc": ThreeConvThreeFC, "resnet18": ResNet18}

_INPUT_SHAPES = {"lenet5": (1, 28, 28), "3conv3fc": (3, 32, 32), "resnet18": (3, 32, 32)}


def build(name: str, bayesian: bool = False, posterior: str = "bernoulli", **options: Any) -> nn.Module:
    """Make the model `name` ("lenet5", "3conv3fc" or "resnet18"), deterministic or with Bayesian layers.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    bayesian : bool
        Convert its convolutions and linear layers with `bayesops.convert`.
    posterior : {"bernoulli", "gaussian"}
        To what.
    **options
        `where` and the posterior's options go to `convert`, all others to the model.

    Raises
    ------
    ValueError
        An unknown name or posterior.
    """
    for argument, value, known in (("name", name, MODELS), ("posterior", posterior, POSTERIORS)):
        if value not in known:
            wrong_value("models.build", argument, f"one of {', '.join(known)}", repr(value))
    of_convert = {"where", *(field.name for field in fields(POSTERIORS[posterior]))}
    convert_options = {key: options.pop(key) for key in of_convert & options.keys()}
    model = MODELS[name](**options)
    return convert(model, posterior, **convert_options) if bayesian else model


def example_input(name: str, batch_size: int = 1, *, seed: int = 0) -> Tensor:
    """Random images ``[batch_size, C, H, W]`` of the shape that the model `name` takes by default."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, *_INPUT_SHAPES[name], generator=generator)
