"""Two convolutions and a linear layer, for digits."""

from collections.abc import Sequence

from torch import nn


class TwoConvOneFC(nn.Sequential):
    """Two convolutions of 5 x 5, each with ReLU and max pooling, and a linear layer: ``[N, C, 28, 28]`` to classes.

    ``build("2conv1fc", bayesian=True, granularity="kernel", where=torch.nn.Conv2d)`` masks its kernels: one draw for
    each pair of an input and an output channel.

    Parameters
    ----------
    in_channels : int
        C of the images.
    num_classes : int
        Length of the output ``[N, classes]``.
    channels : pair of int
        Of the two convolutions.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, channels: Sequence[int] = (16, 32)) -> None:
        first, second = channels
        super().__init__(
            nn.Conv2d(in_channels, first, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(7 * 7 * second, num_classes),
        )  # fmt: skip
