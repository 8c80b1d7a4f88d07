"""Layers that draw, or look as if they did, and belong to nobody that we know: they are listed."""

import re

from torch import nn

_BAYESIAN = re.compile(r"bayes|variational|flipout|reparam|bbb|dropconnect", re.IGNORECASE)
_DROPPING = re.compile(r"drop_?(out|path|block|connect)|stochastic", re.IGNORECASE)
_SPREAD = re.compile(r"(^|_)(rho|log_?sigma|log_?var|log_?alpha|log_?std)(_|$)|^[A-Za-z]+_sigma$", re.IGNORECASE)


def recognise(module: nn.Module) -> str | None:
    """Say why a layer that looks Bayesian is left: it has parameters of a spread, or a name that says so."""
    name = type(module).__name__
    own = [key for key, parameter in module._parameters.items() if parameter is not None]
    spread = next((key for key in own if _SPREAD.search(key)), None)
    if spread is not None:
        return f"{name}: has a parameter {spread}, but is of no library that is known here"
    if module._modules:  # a network, by whatever name
        return None
    if (own and _BAYESIAN.search(name)) or _DROPPING.search(name):
        return f"{name}: looks as if it drew, but is of no library that is known here"
    return None
