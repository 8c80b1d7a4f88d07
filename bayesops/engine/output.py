"""What is meant of a model's return value, and return values of several draws put together."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from bayesops._arguments import wrong_value
from bayesops.engine.steps import Value

Output = int | str | Callable[[Any], Any] | None


def selected(outputs: Any, which: Output) -> Any:
    """Select from what one call of the model returns: by index, by key or name, or by a function of it.

    Raises
    ------
    ValueError
        Where it returns one tensor, or nothing of that index, key or name.
    """
    if which is None:
        return outputs
    if callable(which):
        return which(outputs)
    try:
        if isinstance(outputs, Tensor):
            raise TypeError("it returns one tensor")
        if isinstance(which, str) and (dataclasses.is_dataclass(outputs) or hasattr(outputs, "_fields")):
            return getattr(outputs, which)
        return outputs[which]
    except (LookupError, TypeError, AttributeError) as error:
        wrong_value("predict", "output", "an index or key of what the model returns", f"{which!r} ({error!r})")


def selected_of_draws(outputs: Any, which: Output) -> Any:
    """Select likewise from what a plan returns for several draws, ``[S, ...]``."""
    if not callable(which):
        return selected(outputs, which)
    leaves, spec = pytree.tree_flatten(outputs)
    places = pytree.tree_unflatten([0 if isinstance(leaf, Tensor) else None for leaf in leaves], spec)
    try:
        return torch.vmap(which, (places,))(outputs)
    except RuntimeError:  # control flow on the data, say
        count = next((len(leaf) for leaf in leaves if isinstance(leaf, Tensor)), 0)
        draws = [
            which(pytree.tree_map(lambda leaf, i=i: leaf[i] if isinstance(leaf, Tensor) else leaf, outputs))
            for i in range(count)
        ]
        if not draws:
            raise
        return joined(torch.stack, draws)


def joined(join: Callable[[list[Tensor]], Tensor], values: Sequence[Value]) -> Value:
    """`join` the tensors of what a model has returned several times; of anything else take the first."""
    return pytree.tree_map(lambda *v: join(list(v)) if isinstance(v[0], Tensor) else v[0], values[0], *values[1:])
