"""A copy of a model with other layers in place of some of its own."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bayesops.convert._selection import constructor_arguments


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


def carried_over(plain: Any, layer: nn.Module) -> nn.Module:
    """Give `layer` what was added to `plain` since it was constructed: attributes, buffers, parameters, modules."""
    with torch.device("meta"):
        fresh = type(plain)(*constructor_arguments(plain))
    for name, value in vars(plain).items():
        if name not in vars(fresh) and not hasattr(layer, name):
            setattr(layer, name, value)
    for name, buffer in plain.named_buffers(recurse=False):
        layer.register_buffer(name, buffer, persistent=name not in plain._non_persistent_buffers_set)
    for name, parameter in plain.named_parameters(recurse=False):
        if not hasattr(fresh, name):
            layer.register_parameter(name, parameter)
    for name, module in plain.named_children():
        layer.add_module(name, module)
    return layer
