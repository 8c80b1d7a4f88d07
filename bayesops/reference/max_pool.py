"""Max pooling and an activation in plain PyTorch."""

from torch import Tensor
from torch.nn import functional

ACTIVATIONS = {"none": lambda x: x, "relu": functional.relu, "softplus": functional.softplus}


def max_pool2d(
    input: Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
    activation: str = "none",
) -> Tensor:
    """`bayesops.ops.max_pool2d`: ``[N, C, H, W]``, or ``[C, H, W]``."""
    return ACTIVATIONS[activation](functional.max_pool2d(input, kernel_size, stride, padding, 1, ceil_mode))
