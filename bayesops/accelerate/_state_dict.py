"""State dicts of peer libraries, read into Gaussian layers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bayesops._arguments import wrong_type, wrong_value
from bayesops.nn.gaussian import GaussianLayer

# Below, log(exp(sigma) - 1) is log sigma to the last digit of a double.
_LOW = -40.0


class _Names(NamedTuple):
    """What a library calls a layer's parameters, in the order of ours; of alternatives the one that is there."""

    weight_mu: tuple[str, ...]
    weight_rho: tuple[str, ...]
    bias_mu: str
    bias_rho: str
    unused: frozenset[str] = frozenset()  # saved with them: noise, priors, second names of the same numbers
    log_sigma: bool = False  # the spread is the logarithm of the standard deviation

    def of(self, parameter: str, state: Mapping[str, Any], prefix: str) -> str:
        """Return the key of one of our parameters; where there is none in `state`, one that might have been."""
        names: str | tuple[str, ...] = getattr(self, parameter)
        keys = [prefix + name for name in ((names,) if isinstance(names, str) else names)]
        return next((key for key in keys if key in state), " or ".join(keys))


# bayesian-torch has had versions that saved its buffers.
_BUFFERS = "eps_kernel eps_weight eps_bias prior_weight_mu prior_weight_sigma prior_bias_mu prior_bias_sigma"
_SECOND = "weight_mu weight_rho bias_mu bias_rho bias_zero weight_sampler.eps_w bias_sampler.eps_w"
SOURCES = {
    "bayesian-torch": _Names(
        ("mu_kernel", "mu_weight"), ("rho_kernel", "rho_weight"), "mu_bias", "rho_bias", frozenset(_BUFFERS.split())
    ),
    "torchbnn": _Names(
        ("weight_mu",), ("weight_log_sigma",), "bias_mu", "bias_log_sigma", frozenset(["weight_eps", "bias_eps"]), True
    ),
    "blitz": _Names(
        ("weight_sampler.mu",), ("weight_sampler.rho",), "bias_sampler.mu", "bias_sampler.rho",
        frozenset(_SECOND.split()),
    ),
    "pytorch-bayesiancnn": _Names(("W_mu",), ("W_rho",), "bias_mu", "bias_rho"),
}  # fmt: skip
# Keys that end so are of one library only.
_MARKS = {
    "bayesian-torch": ("mu_kernel", "mu_weight"),
    "torchbnn": ("weight_log_sigma",),
    "blitz": ("weight_sampler.mu",),
    "pytorch-bayesiancnn": ("W_mu",),
}


def import_state_dict(model: nn.Module, state_dict: Mapping[str, Any], source: str = "auto") -> nn.Module:
    """Load the state dict of a model of another library into one of Gaussian layers with the same names.

    Where `model` has a Gaussian layer of `bayesops.nn`, the state dict is to have that library's layer of the
    same name: its means and spreads become `weight_mu`, `weight_rho`, `bias_mu` and `bias_rho`. All other entries
    (plain layers, batch normalisation) are loaded as they are. Nothing is changed unless everything fits.

    Parameters
    ----------
    model : Module
        With Gaussian layers, of ``variance="rho"``. Their dtypes and devices stay.
    state_dict : mapping of str to Tensor
        What ``state_dict()`` of the other model gave.
    source : {"auto", "bayesian-torch", "torchbnn", "blitz", "pytorch-bayesiancnn"}
        The library; "auto" tells it by the keys.

    Returns
    -------
    Module
        `model`, changed in place.

    Raises
    ------
    ValueError
        An unknown source, or one that the keys do not tell; a model without Gaussian layers, or with
        ``variance="alpha"``; entries that are missing, left over or of another shape, of which all are named.
    TypeError
        A `state_dict` that is no mapping, a `model` that is no module.

    Notes
    -----
    torchbnn saves log sigma; its rho is ``log(exp(sigma) - 1)``, in float64. Priors are in no state dict: give them to
    the layers of `model`. BLiTZ saves its parameters twice, under `weight_mu` and `weight_sampler.mu`; those of the
    sampler are trained. Its `BayesianLinear` saves biases with ``bias=False``, too: take these out.

    A model can also be kept as it is and run on our operators: `bayesops.accelerate`.

    Examples
    --------
    >>> bo.import_state_dict(model, torch.load("bayesian_torch_lenet.pt"))
    """
    operator = "import_state_dict"
    if not isinstance(model, nn.Module):
        wrong_type(operator, "model", "a torch.nn.Module", type(model).__name__)
    if not isinstance(state_dict, Mapping):
        wrong_type(operator, "state_dict", "a mapping of names to tensors", type(state_dict).__name__)
    names = SOURCES[_source(state_dict, source)]
    translated, faults = _translate(_gaussian_layers(model), model.state_dict(), state_dict, names)
    if faults:
        source = next(name for name, value in SOURCES.items() if value is names)
        raise ValueError(
            f"{operator}: argument 'state_dict' must fit {type(model).__name__} as one of {source}, but\n  "
            + "\n  ".join(faults)
        )
    model.load_state_dict(translated, strict=False)
    return model


def _source(state_dict: Mapping[str, Any], source: str) -> str:
    operator = "import_state_dict"
    if source in SOURCES:
        return source
    choices = ", ".join(map(repr, SOURCES))
    if source != "auto":
        wrong_value(operator, "source", f"'auto' or one of {choices}", repr(source))
    found = [
        name
        for name, marks in _MARKS.items()
        if any(key == mark or key.endswith("." + mark) for key in state_dict for mark in marks)
    ]
    if len(found) != 1:
        got = f"keys of {' and '.join(found)}" if found else "keys of none of them"
        wrong_value(operator, "source", f"one of {choices} where the keys do not tell", f"'auto' and {got}")
    return found[0]


def _gaussian_layers(model: nn.Module) -> dict[str, GaussianLayer]:
    """Gaussian layers by the prefix of their entries in a state dict."""
    layers = {
        f"{name}." if name else "": module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, GaussianLayer)
    }
    if not layers:
        wrong_value("import_state_dict", "model", "a model with Gaussian layers of bayesops.nn", type(model).__name__)
    for prefix, layer in layers.items():
        if layer.variance != "rho":
            got = f"{prefix[:-1] or 'a layer'} with variance={layer.variance!r}"
            wrong_value("import_state_dict", "model", "of layers with variance='rho'", got)
    return layers


def _translate(
    layers: dict[str, GaussianLayer], own: Mapping[str, Any], theirs: Mapping[str, Any], names: _Names
) -> tuple[dict[str, Any], list[str]]:
    """Entries for our model, and what is wrong with the other's."""
    sources = {key: key for key in own if not any(key.startswith(prefix) for prefix in layers)}  # ours: theirs
    unused = set()
    for prefix, layer in layers.items():
        for parameter, value in layer.named_parameters(recurse=False):
            assert value is not None
            sources[prefix + parameter] = names.of(parameter, theirs, prefix)
        unused |= {prefix + name for name in names.unused}
    translated: dict[str, Any] = {}
    faults = []
    for key, source in sources.items():
        if source not in theirs:
            faults.append(f"missing: {source}" + ("" if source == key else f", for {key}"))
            continue
        value, wanted = theirs[source], own[key]
        if isinstance(wanted, Tensor) and (not isinstance(value, Tensor) or value.shape != wanted.shape):
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            faults.append(f"{source}: {got}, where {key} is of shape {tuple(wanted.shape)}")
            continue
        spread = names.log_sigma and key.endswith("_rho") and source != key
        translated[key] = _rho_of_log_sigma(value) if spread else value
    used = {*sources.values(), *unused}
    faults += [f"left over: {key}" for key in theirs if key not in used]
    return translated, faults


def _rho_of_log_sigma(log_sigma: Tensor) -> Tensor:
    """Return log(exp(sigma) - 1), float64, finite wherever log sigma is (up to log of the largest double)."""
    log_sigma = log_sigma.double()
    sigma = log_sigma.clamp_min(_LOW).exp()
    return torch.where(log_sigma < _LOW, log_sigma, sigma + torch.log(-torch.expm1(-sigma)))
