"""What a model keeps besides parameters: a mark of it that tells whether it has changed, and a way back."""

import argparse
import sys
import types
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_modules

from bayesops.nn._stochastic import Stochastic

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_DEPTH = 4  # of containers and records within each other
_MOST = 100  # parts of one; larger ones are taken to be data that stay as they are


def fingerprint(model: nn.Module) -> tuple[Any, ...]:
    """Return what a graph depends on, besides the code: the same, and the graph of before still holds.

    That is each module's kind and mode, and the Python values that the user's modules and their classes hold. (What
    their code reads from elsewhere, a global say, is taken to stay as it is.)
    """
    marks: list[Any] = [bool(torch_modules._global_forward_hooks or torch_modules._global_forward_pre_hooks)]
    _mark(model, "", marks)
    return tuple(marks)


def _mark(module: nn.Module, name: str, marks: list[Any]) -> None:
    """Append the marks of `module` and of the modules in it, but for those of a Bayesian layer, a leaf of the graph."""
    marks.append((name, type(module), module.training, has_hooks(module), is_patched(module)))
    if isinstance(module, Stochastic):
        marks.append((module.uses_mean, module.is_frozen, getattr(module, "estimator", None)))
        return
    if is_users(module):  # its forward pass was gone through
        marks.append(tuple((key, _frozen(value)) for key, value in _own_values(module)))
    for child_name, child in list(module._modules.items()):
        if child is not None:
            _mark(child, f"{name}.{child_name}", marks)


def is_users(module: nn.Module) -> bool:
    """Whether `module` is of a kind that a graph goes into."""
    return _is_users(type(module))


def _is_users(kind: type) -> bool:
    return kind is not object and not kind.__module__.startswith("torch.nn")


def has_hooks(module: nn.Module) -> bool:
    """Whether something of the user's runs when `module` is called."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )  # fmt: skip


def is_patched(module: nn.Module) -> bool:
    """Whether `module` has a forward function that is not its kind's."""
    return "forward" in vars(module)


def _own_values(module: nn.Module) -> list[tuple[str, Any]]:
    """Return what `module` holds by itself, and what its class holds for all of its kind; no methods."""
    of_classes = [item for kind in type(module).__mro__ if _is_users(kind) for item in list(vars(kind).items())]
    values = [
        (key, value)
        for key, value in of_classes
        if not (key.startswith("__") or callable(value) or hasattr(value, "__get__"))
    ]
    return values + [(key, value) for key, value in list(vars(module).items()) if key not in _OF_EVERY_MODULE]


def _frozen(value: Any, depth: int = 0) -> Any:
    """Return something that stays as it is and compares equal as long as `value` is the same; it holds no reference."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, torch.dtype, torch.device)):
        return type(value), value
    if isinstance(value, Tensor) and depth > 0:  # in a container, where a graph cannot find it again
        return type(value), id(value), _version(value)
    if isinstance(value, (Tensor, nn.Module)):  # a graph reads them when it runs
        return type(value)
    if isinstance(value, np.ndarray) and value.size <= _MOST and not value.dtype.hasobject:
        return value.shape, value.dtype.str, value.tobytes()
    parts = _parts(value) if depth < _DEPTH else None
    if parts is None:
        return type(value), id(value), getattr(value, "__qualname__", None)
    return type(value), tuple(_frozen(part, depth + 1) for part in parts)


def _parts(value: Any) -> list[Any] | None:
    """Return what a container or a record is made of; None for anything else, which is taken for what it is."""
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        if len(value) > _MOST:
            return None
        if isinstance(value, (set, frozenset)):
            return sorted(map(repr, value))
        return [part for item in value.items() for part in item] if isinstance(value, Mapping) else list(value)
    if hasattr(value, "__dict__") and not callable(value) and not _is_of_python(type(value)):
        return [part for item in vars(value).items() for part in item]
    return None


def _is_of_python(kind: type) -> bool:
    """Whether `kind` is of Python's own library (a logger, a lock), and no plain record."""
    records = (types.SimpleNamespace, argparse.Namespace)
    return kind.__module__.partition(".")[0] in sys.stdlib_module_names and not issubclass(kind, records)


class Unchanged:
    """Around what runs a model's own code for the sake of its result: afterwards the model holds what it held.

    What a forward function sets for others to look at (features, attention) is then gone; that is no harm. What it goes
    on with at the next call is: see `changed`.

    Attributes
    ----------
    changed : str
        A number or a buffer that has changed, and was changed back; empty if none has.
    """

    def __init__(self, model: nn.Module, *, buffers: bool) -> None:
        """Also the numbers in `buffers`, if wanted: for that they are copied."""
        self.changed = ""
        modules = [(f"{name}." if name else "", module) for name, module in model.named_modules()]
        self._attributes = [(name, vars(module), vars(module).copy()) for name, module in modules]
        self._named_buffers = [(name, module._buffers, module._buffers.copy()) for name, module in modules]
        containers = [value for _, _, values in self._attributes for value in values.values()]
        self._containers = [(value, value.copy()) for value in containers if type(value) in (list, dict)]
        tensors = model.named_buffers() if buffers else ()
        self._buffers = [(name, tensor, _version(tensor), tensor.clone()) for name, tensor in tensors]

    def __enter__(self) -> "Unchanged":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, tensor, version, copy in self._buffers:
            if _version(tensor) != version:
                self.changed = name
                with torch.no_grad():
                    tensor.copy_(copy)
        for name, now, before in self._named_buffers:
            for key in _restore(now, before, buffers=True):
                self.changed = name + key
        for container, copy in self._containers:
            if isinstance(container, list):
                container[:] = copy
            else:
                _restore(container, copy)
        for name, now, before in self._attributes:
            for key in _restore(now, before):
                self.changed = name + key


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _restore(now: dict[str, Any], before: dict[str, Any], *, buffers: bool = False) -> list[str]:
    """Give `now` the values of `before`; return the keys of other numbers, or of other `buffers`."""
    changed = [key for key in before if key not in now or now[key] is not before[key]]
    counts = [key for key in changed if buffers or _is_another_number(now.get(key), before[key])]
    for key in now.keys() - before.keys():
        del now[key]
    for key in changed:
        now[key] = before[key]
    return counts


def _is_another_number(now: Any, before: Any) -> bool:
    return isinstance(before, (bool, int, float)) and isinstance(now, (bool, int, float)) and now != before
