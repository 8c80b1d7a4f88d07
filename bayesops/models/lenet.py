"""LeNet-5, the first convolutional network that read digits."""

from torch import nn


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
