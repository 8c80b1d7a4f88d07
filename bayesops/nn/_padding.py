"""Padding that no convolution operator knows: done before the call."""

from typing import Any

from torch import Tensor
from torch.nn import functional

from bayesops.nn._samples import check_tensor, over_examples
from bayesops.ops._layout import is_channels_last, with_layout


def pad_input(layer: Any, input: Tensor) -> tuple[Tensor, str | int | tuple[int, ...]]:
    """Pad `input` where `layer.padding_mode` is not zeros; return it, and the padding that is left to the operator."""
    check_tensor(layer, input)
    if layer.padding_mode == "zeros":
        return input, layer.padding
    spatial, pads = len(layer.stride), layer._reversed_padding_repeated_twice
    padded = over_examples(functional.pad, spatial, input, pads, mode=layer.padding_mode)
    if is_channels_last(input, spatial):  # which torch's circular padding forgets
        padded = with_layout(padded, spatial, True)
    return padded, 0
