"""The network of three convolutions and three linear layers of PyTorch-BayesianCNN."""

from collections.abc import Callable

from torch import nn


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
