"""The dtype that 16-bit numbers are computed in."""

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return `tensor` in float32, or float64 if it is that."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
