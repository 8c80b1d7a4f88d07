"""LeNet-5, the first convolutional network that read digits."""

from collections.abc import Callable

from torch import nn

from bayesops._arguments import check_choice


class LeNet5(nn.Sequential):
    """LeNet-5 (LeCun et al., 1998) with max pooling, for images ``[N, C, 28, 28]`` or ``[N, C, 32, 32]``.

    Parameters
    ----------
    in_channels : int
        C of the images.
    num_classes : int
        Length of the output ``[N, classes]``.
    image_size : {28, 32}
        Images of 28 pixels are padded by 2 zeros on each side.
    activation : callable
        Makes the activation; `torch.nn.Softplus` is that of PyTorch-BayesianCNN (Shridhar et al., 2019).

    Raises
    ------
    ValueError
        Another `image_size`.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 10,
        image_size: int = 28,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        padding = 2 if check_choice("LeNet5", "image_size", image_size, (28, 32)) == 28 else 0
        super().__init__(
            nn.Conv2d(in_channels, 6, 5, padding=padding), activation(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), activation(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120), activation(),
            nn.Linear(120, 84), activation(),
            nn.Linear(84, num_classes),
        )  # fmt: skip
