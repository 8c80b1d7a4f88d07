"""Argument checks that the public operators share.

Every message names the operator, the argument, what came and what was wanted. The checks run at each call of a small
layer, so the good case is a comparison or two; words are put together only when something is wrong.
"""

from collections.abc import Sequence
from numbers import Real
from operator import index
from typing import Any, NoReturn

import torch
from torch import Tensor

Seed = int | Tensor | None

_FLOATING = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def wrong_value(operator: str, argument: str, wanted: str, got: object) -> NoReturn:
    raise ValueError(f"{operator}: argument '{argument}' must be {wanted}, got {got}")


def wrong_type(operator: str, argument: str, wanted: str, got: object) -> NoReturn:
    raise TypeError(f"{operator}: argument '{argument}' must be {wanted}, got {got}")


def as_int(operator: str, argument: str, wanted: str, value: Any) -> int:
    """Return `value` as an int: one of NumPy's, or whatever has ``__index__``, is one, too."""
    if isinstance(value, (int, torch.SymInt)):
        return value  # type: ignore[return-value]
    try:
        return index(value)
    except TypeError:
        wrong_type(operator, argument, wanted, type(value).__name__)


def check_number(operator: str, argument: str, value: object) -> None:
    """Check that `value` is a number: Python's, NumPy's or a tensor."""
    if not isinstance(value, (int, float, Tensor, Real)):
        wrong_type(operator, argument, "a number", type(value).__name__)


def check_probability(operator: str, p: float) -> float:
    """Return `p` as a float in [0, 1)."""
    if not isinstance(p, (int, float)):
        wrong_type(operator, "p", "a number in [0, 1)", type(p).__name__)
    if not 0.0 <= p < 1.0:  # also false for NaN
        wrong_value(operator, "p", "in [0, 1), the probability of dropping", p)
    return float(p)


def check_stream(operator: str, stream: int) -> int:
    """Return `stream`, an int of 32 bits without sign."""
    if not isinstance(stream, int):
        wrong_type(operator, "stream", "an int", type(stream).__name__)
    if not 0 <= stream < 2**32:
        wrong_value(operator, "stream", "in [0, 2**32)", stream)
    return stream


def check_floating(operator: str, argument: str, tensor: Tensor) -> None:
    """Check that `tensor` is a tensor of a dtype the operators compute in."""
    if not isinstance(tensor, Tensor):
        wrong_type(operator, argument, "a tensor", type(tensor).__name__)
    if tensor.dtype not in _FLOATING:
        wrong_type(operator, argument, "float32, float64, bfloat16 or float16", tensor.dtype)


def check_like_input(operator: str, argument: str, tensor: Tensor, input: Tensor) -> None:
    """Check that `tensor` shares dtype and device with `input` (under autocast the dtypes are made equal later)."""
    if not isinstance(tensor, Tensor):
        wrong_type(operator, argument, "a tensor", type(tensor).__name__)
    if tensor.dtype != input.dtype and not torch.is_autocast_enabled(input.device.type):
        wrong_type(operator, argument, f"of the input's dtype {input.dtype}", tensor.dtype)
    if tensor.device != input.device:
        _wrong_device(operator, argument, input.device, tensor.device)


def check_mask(operator: str, mask: Tensor, device: torch.device, base: Sequence[int], seed: Tensor | None) -> None:
    """Check that `mask` is bool ``[*base]``, or ``[S, *base]`` where `seed` has S samples or (None) leaves S open."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        wrong_type(operator, "mask", "a bool tensor", mask.dtype if isinstance(mask, Tensor) else type(mask).__name__)
    if mask.device != device:
        _wrong_device(operator, "mask", device, mask.device)
    base, shape = tuple(base), tuple(mask.shape)
    if shape == base or (shape[1:] == base and len(shape) > len(base) and (seed is None or seed.shape == shape[:1])):
        return
    if seed is None:
        wanted = f"of shape {base} or (S, {', '.join(map(str, base))})"
    elif seed.dim() == 1:
        wanted = f"of shape {base} or {(seed.shape[0], *base)}"
    else:
        wanted = f"of shape {base} (for a mask a sample give a seed of shape [S], or None)"
    wrong_value(operator, "mask", wanted, f"shape {shape}")


def seed_tensor(operator: str, seed: Seed, device: torch.device) -> Tensor:
    """Return `seed` as an int64 tensor ``[]`` or ``[S]`` on `device`."""
    if isinstance(seed, Tensor):
        if seed.dtype != torch.int64:
            wrong_type(operator, "seed", "an int or an int64 tensor", seed.dtype)
        if seed.dim() > 1:
            wrong_value(operator, "seed", "an int or a tensor of shape [] or [S]", f"shape {tuple(seed.shape)}")
        if seed.device != device:
            _wrong_device(operator, "seed", device, seed.device)
        return seed
    wanted = "an int or an int64 tensor (None only where a mask is given)"
    if seed is None or isinstance(seed, bool):
        wrong_type(operator, "seed", wanted, "None" if seed is None else "bool")
    seed = as_int(operator, "seed", wanted, seed)
    if not -(2**63) <= seed < 2**64:
        wrong_value(operator, "seed", "an int of 64 bits", seed)
    return torch.full((), seed if seed < 2**63 else seed - 2**64, dtype=torch.int64, device=device)


def per_dim(operator: str, argument: str, value: int | Sequence[int], dims: int, minimum: int) -> list[int]:
    """Make an int, or one int a spatial dimension, a list of `dims` ints."""
    if isinstance(value, int):
        values = [value] * dims
    else:
        if not isinstance(value, (tuple, list)) or not all(isinstance(v, int) for v in value):
            wrong_type(operator, argument, f"an int or a tuple of {dims} ints", repr(value))
        values = list(value) * dims if len(value) == 1 else list(value)
        if len(values) != dims:
            wrong_value(operator, argument, f"an int or a tuple of {dims} ints", value)
    for v in values:
        if v < minimum:
            wrong_value(operator, argument, f"at least {minimum}", value)
    return values


def padding_pairs(
    operator: str,
    padding: int | Sequence[int] | str,
    kernel_size: Sequence[int],
    stride: list[int],
    dilation: list[int],
) -> list[int]:
    """Make the padding (before, after) for each spatial dimension, flat.

    ``"same"`` puts the odd element of an even kernel behind, as torch does.
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


def _wrong_device(operator: str, argument: str, wanted: torch.device, got: torch.device) -> NoReturn:
    raise RuntimeError(f"{operator}: argument '{argument}' must be on the input's device {wanted}, got {got}")
