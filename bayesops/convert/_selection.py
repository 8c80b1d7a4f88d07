"""Which layers of a model to convert, and their constructors' arguments."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from bayesops._arguments import wrong_type, wrong_value
from bayesops.engine.state import has_hooks, is_patched

Where = Callable[[str, nn.Module], bool] | str | type[nn.Module] | Iterable[str | type[nn.Module]] | None

CONVERTIBLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def selection(
    model: nn.Module, where: Where, function: str = "convert", kinds: tuple[type[nn.Module], ...] = CONVERTIBLE
) -> set[str]:
    """Names of the modules to replace, which are of one of `kinds` (of no subclass); `function` is for errors."""
    modules = dict(model.named_modules(remove_duplicate=False))
    convertible = {name for name, module in modules.items() if type(module) in kinds and not _runs_more(module)}
    if where is None:
        return convertible
    if where == "last" and "last" not in modules:
        # Of one layer under several names, all of them.
        last = next((modules[name] for name in reversed(modules) if name in convertible), None)
        return {name for name in convertible if modules[name] is last}
    if isinstance(where, (str, type)):
        where = [where]
    if callable(where):
        return {name for name in convertible if where(name, modules[name])}
    if not isinstance(where, Iterable):
        wrong_type(function, "where", "a predicate, names or types", type(where).__name__)
    chosen: set[str] = set()
    for item in where:
        if isinstance(item, str):
            if item not in modules:
                wrong_value(function, "where", "names of modules of the model", repr(item))
            below = {name for name in convertible if name.startswith(f"{item}." if item else "")}
            if item not in convertible and not below:
                wanted = f"names of layers to convert ({', '.join(kind.__name__ for kind in kinds)})"
                wrong_value(function, "where", wanted, f"{item!r}, which is a {type(modules[item]).__name__}")
            chosen |= below | ({item} & convertible)
        elif isinstance(item, type):
            chosen |= {name for name in convertible if isinstance(modules[name], item)}
        else:
            wrong_type(function, "where", "a predicate, names or types", repr(item))
    return chosen


def held_back(model: nn.Module) -> list[str]:
    """Names of layers that would be converted, were it not for their hooks or parametrisations (weight norm, say)."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, CONVERTIBLE)
        and (parametrize.is_parametrized(module) or (type(module) in CONVERTIBLE and _runs_more(module)))
    ]


def _runs_more(module: nn.Module) -> bool:
    """Whether code of the user's runs when `module` is called, which another layer would not run."""
    return has_hooks(module) or is_patched(module)


def constructor_arguments(layer: Any) -> tuple[Any, ...]:
    """Return the arguments, up to `dtype`, with which torch's constructor and ours make a layer like `layer`."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features, layer.bias is not None
    return (
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
        layer.groups, layer.bias is not None, layer.padding_mode,
    )  # fmt: skip
