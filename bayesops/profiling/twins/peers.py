"""Twins of Gaussian models in peer libraries, where these are installed: their layers, with the same means and spreads.

A peer takes a model if it has a layer of the same estimator for each layer that draws. None of them masks weights, and
none has local reparameterisation.
"""

import math
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from bayesops.nn import Dropout
from bayesops.profiling import twins
from bayesops.profiling.twins import bernoulli, gaussian

PEERS = ("bayesian-torch", "torchbnn", "blitz")


class NoTwin(Exception):
    """A peer that cannot make the model; the message says why."""


def twin(model: nn.Module, peer: str) -> nn.Module:
    """Copy `model` with the layers of the package `peer` in place of those that draw.

    Raises
    ------
    NoTwin
        It is not installed, or lacks a layer, or there is none for it.
    """
    if all(isinstance(layer, Dropout) for layer in twins.bayesian_layers(model).values()):
        raise NoTwin("dropout alone is PyTorch's, as in the loop")
    make = {"bayesian-torch": _bayesian_torch, "torchbnn": _torchbnn, "blitz": _blitz}[peer]

    def of_layer(layer: Any) -> nn.Module:
        if isinstance(layer, Dropout):
            return bernoulli.naive(layer)
        if not isinstance(layer, gaussian.LAYERS):
            raise NoTwin("has no layer that masks weights")
        return make(layer)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the peers' own
        return twins.replaced(model, of_layer).eval()


def _bayesian_torch(layer: Any) -> nn.Module:
    names = {"weight_sample": "{shape}Reparameterization", "flipout": "{shape}Flipout"}
    made = _make(layer, "bayesian_torch.layers", names)
    made.dnn_to_bnn_flag = True  # return the output alone, and compute no divergence
    kind = "weight" if layer.weight_mu.dim() == 2 else "kernel"
    _fill(layer, getattr(made, f"mu_{kind}"), getattr(made, f"rho_{kind}"), made.mu_bias, made.rho_bias, _rho)
    return made


def _torchbnn(layer: Any) -> nn.Module:
    made = _make(layer, "torchbnn.modules", {"weight_sample": "Bayes{shape}"}, prior_mu=0.0, prior_sigma=1.0)
    _fill(layer, made.weight_mu, made.weight_log_sigma, made.bias_mu, made.bias_log_sigma, torch.log)
    return made


def _blitz(layer: Any) -> nn.Module:
    made = _make(layer, "blitz.modules", {"weight_sample": "Bayesian{shape}"})
    bias = getattr(made, "bias_sampler", None)
    _fill(
        layer, made.weight_sampler.mu, made.weight_sampler.rho, getattr(bias, "mu", None), getattr(bias, "rho", None),
        _rho,
    )  # fmt: skip
    return made


def _make(layer: Any, package: str, names: dict[str, str], **options: Any) -> Any:
    """Make the peer's layer; `names` are by estimators, with ``{shape}`` for Linear, Conv1d, Conv2d or Conv3d."""
    try:
        module = import_module(package)
    except Exception as error:  # it may be there and not fit this torch
        text = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be imported: {error}"
        raise NoTwin(text) from error
    dimensions = layer.weight_mu.dim() - 2
    shape = f"Conv{dimensions}d" if dimensions else "Linear"
    kind = getattr(module, names.get(layer.estimator, "").format(shape=shape), None)
    if kind is None:
        raise NoTwin(f"has no {shape} by {layer.estimator}")
    bias = layer.bias_mu is not None
    if dimensions == 0:
        made = kind(in_features=layer.in_features, out_features=layer.out_features, bias=bias, **options)
    else:
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise NoTwin(f"pads with zeros, and not by {layer.padding_mode!r}, {layer.padding!r}")
        geometry = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")}
        made = kind(
            in_channels=layer.in_channels, out_channels=layer.out_channels, kernel_size=layer.kernel_size, bias=bias,
            **geometry, **options,
        )  # fmt: skip
    return made.to(layer.weight_mu)


@torch.no_grad()
def _fill(
    layer: Any,
    mu: Tensor,
    spread: Tensor,
    bias_mu: Tensor | None,
    bias_spread: Tensor | None,
    to_spread: Callable[[Tensor], Tensor],
) -> None:
    """Give a peer's parameters the values of ours; `to_spread` makes the peer's of a standard deviation."""
    if layer.weight_rho is not None:
        sigma = softplus(layer.weight_rho)
    else:
        sigma = torch.exp(layer.weight_log_alpha / 2) * layer.weight_mu.abs()
    tiny = math.sqrt(torch.finfo(sigma.dtype).tiny)
    mu.copy_(layer.weight_mu)
    spread.copy_(to_spread(sigma.clamp(min=tiny)))
    if bias_mu is not None and bias_spread is not None and layer.bias_mu is not None:
        bias_mu.copy_(layer.bias_mu)
        bias_spread.copy_(to_spread(softplus(layer.bias_rho).clamp(min=tiny)))


def _rho(sigma: Tensor) -> Tensor:
    """Invert softplus."""
    return sigma + torch.log(-torch.expm1(-sigma))
