"""Padding that no convolution operator knows: done before the call."""

from typing import Any

from torch import Tensor
from torch.nn import functional

from bayesops.nn._samples import check_tensor, over_examples


def pad_input(layer: Any, input: Tensor) -> tuple[Tensor, str | int | tuple[int, ...]]:
    """Pad `input` where `layer.padding_mode` is not zeros; return it, and the padding that is left to the operator."""
    check_tensor(layer, input)
    if layer.padding_mode == "zeros":
        return input, layer.padding
    pads = layer._reversed_padding_repeated_twice
    return over_examples(functional.pad, len(layer.stride), input, pads, mode=layer.padding_mode), 0
