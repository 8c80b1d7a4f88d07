"""How the stream operators behave under fake tensors and vmap. They have no gradient: a seed is an integer."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

_DTYPES = {
    "random_bernoulli": torch.bool,
    "random_normal": torch.float32,
    "random_signs": torch.float32,
    "random_words": torch.int32,
}


def _fake(dtype: torch.dtype) -> Callable[..., Tensor]:
    def fake(seed: Tensor, shape: Sequence[int], *_: Any) -> Tensor:
        return seed.new_empty([*seed.shape, *shape], dtype=dtype)

    return fake


def _vmap(op: OpOverload) -> Callable[..., tuple[Tensor, int]]:
    def vmap(info: Any, in_dims: tuple, seed: Tensor, *args: Any) -> tuple[Tensor, int]:
        seed = seed.movedim(in_dims[0], 0)
        return op(seed.reshape(-1), *args).unflatten(0, seed.shape), 0

    return vmap


for _name, _dtype in _DTYPES.items():
    _op = getattr(torch.ops.bayesops, _name).default
    torch.library.register_fake(f"bayesops::{_name}", _fake(_dtype))
    torch.library.register_vmap(f"bayesops::{_name}", _vmap(_op))


@torch.library.register_fake("bayesops::sample_seeds")
def _fake_sample_seeds(seed: Tensor, num_samples: int) -> Tensor:
    return seed.new_empty([num_samples])


@torch.library.register_vmap("bayesops::sample_seeds")
def _vmap_sample_seeds(info: Any, in_dims: tuple, seed: Tensor, num_samples: int) -> tuple[Tensor, int]:
    return torch.stack([torch.ops.bayesops.sample_seeds(s, num_samples) for s in seed.unbind(in_dims[0])]), 0
