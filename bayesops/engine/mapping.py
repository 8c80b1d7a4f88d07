"""`torch.vmap` over draws, of functions whose arguments and results are more than tensors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def map_draws(function: Callable[..., Any], seeds: Tensor, *values: Any) -> Any:
    """Map `function` over seeds ``[S]`` and the tensors ``[S, ...]`` in `values`.

    What it takes or returns besides tensors (None, numbers) is the same for all draws.
    """
    leaves, spec = pytree.tree_flatten(values)
    returned: list[Any] = []
    returned_spec: Any = None

    def of_tensors(seed: Tensor, *tensors: Tensor) -> list[Tensor]:
        nonlocal returned, returned_spec
        result = function(seed, *_with_tensors(leaves, spec, tensors))
        returned, returned_spec = pytree.tree_flatten(result)
        return _tensors(returned)

    drawn = torch.vmap(of_tensors)(seeds, *_tensors(leaves))
    return _with_tensors(returned, returned_spec, drawn)


def _tensors(leaves: list[Any]) -> list[Tensor]:
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


def _with_tensors(leaves: list[Any], spec: Any, tensors: Any) -> Any:
    others = iter(tensors)
    return pytree.tree_unflatten([next(others) if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec)
