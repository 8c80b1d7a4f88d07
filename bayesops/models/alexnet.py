"""AlexNet for small images."""

from collections.abc import Callable

from torch import nn


class AlexNet(nn.Sequential):
    """AlexNet (Krizhevsky et al., 2012) in the form of PyTorch-BayesianCNN: ``[N, C, 32, 32]`` to ``[N, classes]``.

    Five convolutions, and one linear layer in place of three.

    Parameters
    ----------
    in_channels : int
        C of the images.
    num_classes : int
        Length of the output.
    activation : callable
        Makes the activation; `torch.nn.Softplus` is the source's, `torch.nn.ReLU` that of AlexNet.

    Notes
    -----
    Source: Shridhar, Laumann and Liwicki, "A comprehensive guide to Bayesian convolutional neural network with
    variational inference", 2019.
    """

    def __init__(
        self, in_channels: int = 3, num_classes: int = 10, activation: Callable[[], nn.Module] = nn.Softplus
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=5), activation(), nn.MaxPool2d(2),
            nn.Conv2d(64, 192, 5, padding=2), activation(), nn.MaxPool2d(2),
            nn.Conv2d(192, 384, 3, padding=1), activation(),
            nn.Conv2d(384, 256, 3, padding=1), activation(),
            nn.Conv2d(256, 128, 3, padding=1), activation(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(128, num_classes),
        )  # fmt: skip
