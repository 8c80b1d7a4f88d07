"""Checks of arguments, shared by everything public.

Every message names the function, the argument, what came and what was wanted. Those of operators run at each call of a
small layer, so the good case is a comparison or two; words are put together only when something is wrong.
"""

from collections.abc import Iterable
from numbers import Real
from operator import index
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor

_T = TypeVar("_T")

Seed = int | Tensor | None

_FLOATING = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def wrong_value(function: str, argument: str, wanted: str, got: object) -> NoReturn:
    raise ValueError(f"{function}: argument '{argument}' must be {wanted}, got {got}")


def wrong_type(function: str, argument: str, wanted: str, got: object) -> NoReturn:
    raise TypeError(f"{function}: argument '{argument}' must be {wanted}, got {got}")


def wrong_choice(function: str, argument: str, choices: Iterable[Any], got: Any) -> NoReturn:
    wrong_value(function, argument, f"one of {', '.join(map(repr, choices))}", repr(got))


def wrong_device(function: str, argument: str, wanted: torch.device, got: torch.device) -> NoReturn:
    raise RuntimeError(f"{function}: argument '{argument}' must be on the input's device {wanted}, got {got}")


def as_int(function: str, argument: str, wanted: str, value: Any) -> int:
    """Return `value` as an int: one of NumPy's, or whatever has ``__index__``, is one, too."""
    if isinstance(value, (int, torch.SymInt)):
        return value  # type: ignore[return-value]
    try:
        return index(value)
    except TypeError:
        wrong_type(function, argument, wanted, type(value).__name__)


def check_choice(function: str, argument: str, value: _T, choices: Iterable[Any]) -> _T:
    """Return `value`, one of `choices`."""
    if value not in choices:
        wrong_choice(function, argument, choices, value)
    return value


def check_count(function: str, argument: str, value: Any, least: int = 1) -> int:
    """Return `value`, a whole number of at least `least`, as an int: Python's or NumPy's, but no bool."""
    wanted = f"an int of at least {least}"
    try:
        number = index(value)
    except TypeError:
        wrong_type(function, argument, wanted, repr(value))
    if isinstance(value, bool):
        wrong_type(function, argument, wanted, repr(value))
    if number < least:
        wrong_value(function, argument, wanted, repr(value))
    return number


def check_number(function: str, argument: str, value: object) -> None:
    """Check that `value` is a number: Python's, NumPy's or a tensor of one."""
    if not isinstance(value, (int, float, Tensor, Real)):
        wrong_type(function, argument, "a number", type(value).__name__)
    if isinstance(value, Tensor) and value.dim() != 0:
        wrong_value(function, argument, "a number", f"shape {tuple(value.shape)}")


def check_probability(function: str, p: float) -> float:
    """Return `p` as a float in [0, 1)."""
    if not isinstance(p, (int, float, Real)):
        wrong_type(function, "p", "a number in [0, 1)", type(p).__name__)
    if not 0.0 <= p < 1.0:  # also false for NaN
        wrong_value(function, "p", "in [0, 1), the probability of dropping", p)
    return float(p)


def check_stream(function: str, stream: int) -> int:
    """Return `stream`, an int of 32 bits without sign."""
    stream = as_int(function, "stream", "an int", stream)
    if not 0 <= stream < 2**32:
        wrong_value(function, "stream", "in [0, 2**32)", stream)
    return stream


def check_floating(function: str, argument: str, tensor: Tensor) -> None:
    """Check that `tensor` is a tensor of a dtype the operators compute in."""
    if not isinstance(tensor, Tensor):
        wrong_type(function, argument, "a tensor", type(tensor).__name__)
    if tensor.dtype not in _FLOATING:
        wrong_type(function, argument, "float32, float64, bfloat16 or float16", tensor.dtype)


def seed_tensor(function: str, seed: Seed, device: torch.device) -> Tensor:
    """Return `seed` as an int64 tensor ``[]`` or ``[S]`` on `device`."""
    if isinstance(seed, Tensor):
        if seed.dtype != torch.int64:
            wrong_type(function, "seed", "an int or an int64 tensor", seed.dtype)
        if seed.dim() > 1:
            wrong_value(function, "seed", "an int or a tensor of shape [] or [S]", f"shape {tuple(seed.shape)}")
        if seed.device != device:
            wrong_device(function, "seed", device, seed.device)
        return seed
    wanted = "an int or an int64 tensor"
    if seed is None or isinstance(seed, bool):
        wrong_type(function, "seed", wanted, "None" if seed is None else "bool")
    seed = as_int(function, "seed", wanted, seed)
    if not -(2**63) <= seed < 2**64:
        wrong_value(function, "seed", "an int of 64 bits", seed)
    return torch.full((), seed if seed < 2**63 else seed - 2**64, dtype=torch.int64, device=device)
