"""What becomes of one layer: the class that stands in for it, or the reason why it is left."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from bayesops.nn._stochastic import Stochastic


@dataclass(frozen=True)
class Takeover:
    """How a layer is replaced.

    Attributes
    ----------
    mixin : type
        The class of the new layer, or what is put in front of the old one's class to make it.
    what : str
        The layer and what it becomes, for people.
    attributes : dict
        Of the new layer, beside those of the old one.
    forgets : tuple of str
        Attributes of the old layer that the new one computes.
    subclass : bool
        Whether the new layer's class is a subclass of the old one's: `isinstance` tests of the peer's library hold.
    """

    mixin: type[Stochastic]
    what: str
    attributes: dict[str, Any] = field(default_factory=dict)
    forgets: tuple[str, ...] = ()
    subclass: bool = True


Found = Takeover | str | None  # to be replaced; left for this reason; not of this library


def known_class(
    module: nn.Module, package: str, known: Mapping[str, Any], left: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Look the class of `module` up among those of `package`: its name in `known`, or why it must be left.

    Only the very class is taken over: a subclass (a parametrised layer is one) may have another forward pass.
    """
    kind = type(module)
    if _belongs(kind, package):
        if kind.__name__ in known:
            return kind.__name__, None
        if kind.__name__ in left:
            return None, left[kind.__name__]
    for base in kind.__mro__[1:]:
        if _belongs(base, package) and (base.__name__ in known or base.__name__ in left):
            return None, f"{kind.__name__} is a subclass of {base.__name__}, and may compute something else"
    return None, None


def _belongs(kind: type, package: str) -> bool:
    return kind.__module__ == package or kind.__module__.startswith(package + ".")
