"""ResNet-18 for small images."""

from torch import Tensor, nn
from torch.nn import functional


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
    """ResNet-18 (He et al., 2016) in its form for small images: ``[N, C, 32, 32]`` to ``[N, classes]``.

    The stem is a 3 x 3 convolution without pooling. Images of other sizes are taken, too.

    Parameters
    ----------
    in_channels : int
        C of the images.
    num_classes : int
        Length of the output.
    width : int
        Channels of the stem and of the first of four stages; each of the others has twice those of the one before.

    Notes
    -----
    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016.
    """

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
