"""Checks of arguments that operators alone have."""

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from bayesops._arguments import wrong_device, wrong_type, wrong_value

# Of what is laid around or along an image: kernels count in 64 bits, in which sizes of 31 may be multiplied.
LARGE = 2**31


def check_like_input(operator: str, argument: str, tensor: Tensor, input: Tensor) -> None:
    """Check that `tensor` shares dtype and device with `input` (under autocast the dtypes are made equal later)."""
    if not isinstance(tensor, Tensor):
        wrong_type(operator, argument, "a tensor", type(tensor).__name__)
    if tensor.dtype != input.dtype and not torch.is_autocast_enabled(input.device.type):
        wrong_type(operator, argument, f"of the input's dtype {input.dtype}", tensor.dtype)
    if tensor.device != input.device:
        wrong_device(operator, argument, input.device, tensor.device)


def check_mask(operator: str, mask: Tensor, device: torch.device, base: Sequence[int], seed: Tensor | None) -> None:
    """Check that `mask` is bool ``[*base]``, or ``[S, *base]`` where `seed` has S samples or (None) leaves S open."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        wrong_type(operator, "mask", "a bool tensor", mask.dtype if isinstance(mask, Tensor) else type(mask).__name__)
    if mask.device != device:
        wrong_device(operator, "mask", device, mask.device)
    base, shape = tuple(base), tuple(mask.shape)
    if shape == base or (shape[1:] == base and len(shape) > len(base) and (seed is None or seed.shape == shape[:1])):
        return
    if seed is None:
        wanted = f"of shape {base} or (S, {', '.join(map(str, base))})"
    elif seed.dim() == 1:
        wanted = f"of shape {base} or {(seed.shape[0], *base)}"
    else:
        wanted = f"of shape {base} (for one mask per sample give a seed of shape [S], or None)"
    wrong_value(operator, "mask", wanted, f"shape {shape}")


def per_dim(operator: str, argument: str, value: int | Sequence[int], dims: int, minimum: int) -> list[int]:
    """Make an int, or one int per spatial dimension, a list of `dims` ints."""
    if isinstance(value, (int, Integral)):
        values = [int(value)] * dims
    else:
        if not isinstance(value, (tuple, list)) or not all(isinstance(v, (int, Integral)) for v in value):
            wrong_type(operator, argument, f"an int or a tuple of {dims} ints", repr(value))
        values = [int(v) for v in value] * (dims if len(value) == 1 else 1)
        if len(values) != dims:
            wrong_value(operator, argument, f"an int or a tuple of {dims} ints", value)
    for v in values:
        if not minimum <= v < LARGE:
            wrong_value(operator, argument, f"at least {minimum}" if v < minimum else "less than 2**31", value)
    return values


def padding_pairs(
    operator: str,
    padding: int | Sequence[int] | str,
    kernel_size: Sequence[int],
    stride: list[int],
    dilation: list[int],
) -> list[int]:
    """Make the padding (before, after) for each spatial dimension, flat.

    ``"same"`` puts the odd element of an even kernel at the end, as torch does.
    """
    if isinstance(padding, str):
        if padding == "valid":
            return [0, 0] * len(stride)
        if padding != "same":
            wrong_value(operator, "padding", "an int, a tuple of ints, 'same' or 'valid'", repr(padding))
        if any(s != 1 for s in stride):
            wrong_value(operator, "padding", "a number where stride is not 1 ('same' needs stride 1)", repr(padding))
        total = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        return [side for t in total for side in (t // 2, t - t // 2)]
    return [side for v in per_dim(operator, "padding", padding, len(stride), 0) for side in (v, v)]
