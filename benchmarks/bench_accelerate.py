"""Models of peer libraries, before and after `bayesops.accelerate`: T draws in a loop, and by `bayesops.predict`."""

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bayesops as bo
from benchmarks import groups
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, SideBySide

SAMPLES = 20


def bayesian_torch(kind: str) -> Callable[[nn.Module], nn.Module]:
    """The library's own conversion, whose layers return no divergence."""

    def convert(model: nn.Module) -> nn.Module:
        module: Any = _peer("bayesian_torch.models.dnn_to_bnn")
        module.dnn_to_bnn(
            model,
            {
                "prior_mu": 0.0, "prior_sigma": 1.0, "posterior_mu_init": 0.0, "posterior_rho_init": -3.0,
                "type": kind, "moped_enable": False,
            },
        )  # fmt: skip
        return model

    return convert


def torchbnn(model: nn.Module) -> nn.Module:
    """Its layers in the place of torch's."""
    package: Any = _peer("torchbnn")

    def conv(layer: nn.Conv2d) -> nn.Module:
        sizes = layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
        made: nn.Module = package.BayesConv2d(0.0, 0.05, *sizes)
        return made

    return _replaced(model, conv, lambda layer: package.BayesLinear(0.0, 0.05, layer.in_features, layer.out_features))


def blitz(model: nn.Module) -> nn.Module:
    """Its layers in the place of torch's."""
    package: Any = _peer("blitz.modules")

    def conv(layer: nn.Conv2d) -> nn.Module:
        made: nn.Module = package.BayesianConv2d(
            layer.in_channels, layer.out_channels, layer.kernel_size, stride=layer.stride, padding=layer.padding
        )
        return made

    return _replaced(model, conv, lambda layer: package.BayesianLinear(layer.in_features, layer.out_features))


def _replaced(
    model: nn.Module, conv: Callable[[nn.Conv2d], nn.Module], linear: Callable[[nn.Linear], nn.Module]
) -> nn.Module:
    for name, layer in model.named_children():
        if isinstance(layer, nn.Conv2d):
            setattr(model, name, conv(layer))
        elif isinstance(layer, nn.Linear):
            setattr(model, name, linear(layer))
    return model


def _peer(module: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(module)


PEERS = {
    "bayesian-torch reparameterisation": bayesian_torch("Reparameterization"),
    "bayesian-torch Flipout": bayesian_torch("Flipout"),
    "torchbnn": torchbnn,
    "BLiTZ": blitz,
}


def looped(model: nn.Module, images: Tensor) -> Tensor:
    """Mean of T draws, as the peers' examples compute it."""
    return torch.stack([torch.softmax(model(images), 1) for _ in range(SAMPLES)]).mean(0)


@pytest.mark.cpu_only
@pytest.mark.parametrize("way", ["loop", "predict"])
@pytest.mark.parametrize("examples", [1, 32])
@pytest.mark.parametrize("peer", PEERS)
@torch.no_grad()
def test_model(side_by_side: SideBySide, peer: str, examples: int, way: str, threads: int) -> None:
    """LeNet-5, T = 20."""
    plain = bo.models.LeNet5().eval()
    images = torch.randn(examples, 1, 28, 28)
    try:
        model = PEERS[peer](bo.models.LeNet5()).eval()
    except ImportError as error:
        pytest.skip(f"{peer}: {error}")
    fast = bo.accelerate(model).model
    ours = {
        "loop": lambda: looped(fast, images),
        "predict": lambda: bo.predict(fast, images, num_samples=SAMPLES).mean,
    }
    side_by_side(
        Case(
            group=groups.ACCELERATED.title,
            name=f"{peer}, N = {examples}, {'bo.predict' if way == 'predict' else 'the same loop'}",
            threads=threads,
            parameters={"peer": peer, "examples": examples, "samples": SAMPLES, "way": way},
            ours=ours[way],
            rivals=[
                Rival("the peer's layers", lambda: looped(model, images)),
                Rival("T plain", lambda: looped(plain, images)),
            ],
        )
    )
