"""A copy of a model with other layers in place of some of its own."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn


def copied_with(
    model: nn.Module,
    make: Callable[[Any], nn.Module],
    layers: Iterable[nn.Module],
    kept: Iterable[Tensor] = (),
) -> nn.Module:
    """Copy `model` in depth, with what `make` makes of a copy of each of `layers` in its place.

    Every way to a layer (a child of two modules, a plain list, what `torch.compile` holds) leads to the same new one:
    a deep copy finds it in its memo. Tensors that were shared stay shared; those that are `kept` are not copied.
    """
    memo: dict[int, Any] = {id(tensor): tensor for tensor in kept}
    made: dict[int, Any] = {}
    for layer in layers:
        if id(layer) not in made:
            made[id(layer)] = make(copy.deepcopy(layer, memo)).train(layer.training)
    copied: nn.Module = copy.deepcopy(model, memo | made)
    # A module with a `__deepcopy__` of its own may not pass the memo on.
    modules = dict(copied.named_modules(remove_duplicate=False))
    for name, layer in model.named_modules(remove_duplicate=False):
        parent, _, child = name.rpartition(".")
        if id(layer) in made and name and parent in modules and child in modules[parent]._modules:
            modules[parent]._modules[child] = made[id(layer)]
    return copied
