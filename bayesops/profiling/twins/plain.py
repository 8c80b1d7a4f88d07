"""The layer of `torch.nn` behind a Bayesian layer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def plain_layer(layer: Any, weight: Tensor, bias: Tensor | None) -> Any:
    """Make torch's linear layer or convolution with the geometry of `layer` and these very parameters."""
    plain: Any
    with torch.device("meta"):  # the parameters are given
        if weight.dim() == 2:
            plain = nn.Linear(layer.in_features, layer.out_features, bias is not None)
        else:
            plain = _CONVOLUTIONS[weight.dim() - 2](
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
                layer.groups, bias is not None, layer.padding_mode,
            )  # fmt: skip
    plain.weight, plain.bias = weight, bias
    return plain


def apply(plain: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Call the plain layer with another weight and bias."""
    if isinstance(plain, nn.Linear):
        return functional.linear(input, weight, bias)
    return plain._conv_forward(input, weight, bias)
