"""Rival convolutions with Gaussian weights: what a user of plain PyTorch writes, and the layers of peer libraries."""

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.convolutions import Shape
from benchmarks.side_by_side import Rival


def local_reparam(x: Tensor, mu: Tensor, var: Tensor, padding: int) -> Tensor:
    """Two convolutions and the noise, as in the repositories of the field."""
    mean = F.conv2d(x, mu, padding=padding)
    variance = F.conv2d(x * x, var, padding=padding)
    return mean + torch.sqrt(variance) * torch.randn_like(mean)


def local_reparam_in_place(x: Tensor, mu: Tensor, var: Tensor, padding: int) -> Tensor:
    """The same by a user who counts allocations; it takes no gradient."""
    mean = F.conv2d(x, mu, padding=padding)
    deviation = F.conv2d(x.square(), var, padding=padding).sqrt_()
    return mean.addcmul_(deviation, torch.randn_like(mean))


def local_reparam_draws(x: Tensor, mu: Tensor, var: Tensor, padding: int, count: int) -> Tensor:
    """Mean and variance once, then `count` draws: the most a user can do for a shared input."""
    mean = F.conv2d(x, mu, padding=padding)
    deviation = F.conv2d(x * x, var, padding=padding).sqrt_()
    return mean + deviation * torch.randn(count, *mean.shape, device=x.device, dtype=x.dtype)


def sampled(x: Tensor, mu: Tensor, rho: Tensor, padding: int) -> Tensor:
    """One draw of the weight, one convolution."""
    return F.conv2d(x, mu + F.softplus(rho) * torch.randn_like(mu), padding=padding)


def flipout(x: Tensor, mu: Tensor, rho: Tensor, padding: int) -> Tensor:
    """Signs for each example and channel (Wen et al., 2018)."""
    noise = F.softplus(rho) * torch.randn_like(mu)
    inputs = torch.randint(0, 2, (len(x), mu.shape[1], 1, 1), dtype=x.dtype, device=x.device).mul_(2).sub_(1)
    outputs = torch.randint(0, 2, (len(x), mu.shape[0], 1, 1), dtype=x.dtype, device=x.device).mul_(2).sub_(1)
    return F.conv2d(x, mu, padding=padding) + F.conv2d(x * inputs, noise, padding=padding) * outputs


def peer(package: str, module: str, layer: str, shape: Shape, run: Callable[[Callable[..., Any]], Any]) -> Rival:
    """Wrap a peer's layer of that shape; `run` makes the calls that are timed."""
    made: list[Callable[..., Any]] = []

    def call() -> Any:
        if not made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made.append(_layer(getattr(import_module(module), layer), package, shape))
        return run(made[0])

    return Rival(f"{package} {layer}", call, optional=True)


def _layer(kind: Any, package: str, shape: Shape) -> Callable[..., Any]:
    if package == "blitz":
        return kind(shape.channels, shape.out_channels, (shape.kernel,) * 2, padding=shape.padding, bias=False)
    if package == "torchbnn":
        return kind(0.0, 0.01, shape.channels, shape.out_channels, shape.kernel, padding=shape.padding, bias=False)
    layer = kind(shape.channels, shape.out_channels, shape.kernel, padding=shape.padding, bias=False)
    return lambda x: layer(x, return_kl=False)


PEERS = {
    "sampled": [
        ("bayesian-torch", "bayesian_torch.layers", "Conv2dReparameterization"),
        ("torchbnn", "torchbnn", "BayesConv2d"),
        ("blitz", "blitz.modules", "BayesianConv2d"),
    ],
    "flipout": [("bayesian-torch", "bayesian_torch.layers", "Conv2dFlipout")],
}
