"""The network of three convolutions and three linear layers of PyTorch-BayesianCNN."""

from collections.abc import Callable

from torch import nn


class ThreeConvThreeFC(nn.Sequential):
    """The network "3conv3fc" of PyTorch-BayesianCNN (Shridhar et al., 2019): ``[N, C, 32, 32]`` to ``[N, classes]``.

    Parameters
    ----------
    in_channels : int
        C of the images.
    num_classes : int
        Length of the output.
    activation : callable
        Makes the activation; `torch.nn.Softplus` is the source's.

    Notes
    -----
    Source: Shridhar, Laumann and Liwicki, "A comprehensive guide to Bayesian convolutional neural network with
    variational inference", 2019.
    """

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
