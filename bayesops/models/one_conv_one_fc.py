"""The smallest convolutional network for digits: one convolution, one linear layer."""

from torch import nn


class OneConvOneFC(nn.Sequential):
    """Eight filters, a coarse maximum, a linear layer: ``[N, C, 28, 28]`` to ``[N, classes]``.

    The network for MNIST and its corrupted form in the course "Probabilistic deep learning with TensorFlow 2" (Imperial
    College London, 2020).

    Parameters
    ----------
    in_channels : int
        C of the images.
    num_classes : int
        Length of the output.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 8, 5), nn.ReLU(), nn.MaxPool2d(6),
            nn.Flatten(),
            nn.Linear(4 * 4 * 8, num_classes),
        )  # fmt: skip
