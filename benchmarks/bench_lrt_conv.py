"""Local reparameterisation: bars 4 and 5 of the project, and its training bar."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bayesops import nn as bnn
from bayesops import ops, random
from bayesops.profiling.machine import multiply_add_peak
from benchmarks import groups, machine
from benchmarks.convolutions import Shape
from benchmarks.gaussian_convolutions import compiled, local_reparam, local_reparam_draws, local_reparam_in_place
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, Limit, SideBySide, Target

FIRST_LAYERS = [Shape(1, 3, 64, 32), Shape(32, 3, 64, 32), Shape(32, 1, 6, 28, kernel=5), Shape(8, 3, 32, 32, kernel=5)]
LATER_LAYERS = [
    Shape(1, 64, 64, 56),
    Shape(1, 128, 128, 28),
    Shape(1, 128, 128, 14),
    Shape(1, 128, 128, 7),
    Shape(8, 64, 64, 32),
    Shape(32, 128, 128, 14),
    Shape(32, 16, 16, 28),
]


def limit(shape: Shape, draws: int = 1) -> Limit:
    """Two convolutions at the measured peak, and a Philox word for each normal."""
    normals = draws * shape.examples * shape.out_channels * shape.size**2
    return Limit(
        "two convolutions at the measured peak and a Philox word a normal",
        lambda: 2 * shape.operations / multiply_add_peak() + normals / machine.word_rate(),
    )


def tensors(shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    x, mu = shape.tensors()
    return x, mu, torch.rand_like(mu) * 0.01


@pytest.mark.parametrize("shape", FIRST_LAYERS + LATER_LAYERS, ids=str)
@torch.no_grad()
def test_one_draw(side_by_side: SideBySide, shape: Shape, threads: int) -> None:
    """Bar 4."""
    x, mu, var = tensors(shape)
    wanted = {"eager": 3.0 if shape in FIRST_LAYERS else 1.5}
    if shape.reduction >= 576:
        wanted["F.conv2d"] = 1 / 2.1
    torch.compiler.reset()
    rival = x, mu, var, shape.padding
    side_by_side(
        Case(
            group=groups.LOCAL_REPARAM.title,
            name=shape.label,
            threads=threads,
            parameters=vars(shape),
            ours=lambda: ops.lrt_conv2d(x, mu, var, seed=0, padding=shape.padding),
            rivals=[
                Rival("eager", lambda: local_reparam(*rival)),
                Rival("eager, in place", lambda: local_reparam_in_place(*rival)),
                compiled("eager", local_reparam, *rival),
                Rival("F.conv2d", lambda: F.conv2d(x, mu, padding=shape.padding)),
            ],
            limit=limit(shape),
            target=Target(wanted),
        )
    )


@pytest.mark.parametrize(
    "shape", [Shape(1, 1, 6, 28, kernel=5), Shape(1, 3, 64, 32), Shape(8, 3, 32, 32, kernel=5)], ids=str
)
@torch.no_grad()
def test_draws_of_a_shared_input(side_by_side: SideBySide, shape: Shape, threads: int) -> None:
    """Bar 5: mean and variance of a first layer once, then T draws."""
    samples = 50
    x, mu, var = tensors(shape)
    seeds = random.sample_seeds(0, samples)
    rival = x, mu, var, shape.padding
    side_by_side(
        Case(
            group=groups.LOCAL_REPARAM_DRAWS.title,
            name=f"T = {samples}, {shape.label}",
            threads=threads,
            parameters=vars(shape) | {"samples": samples},
            ours=lambda: ops.lrt_conv2d(x, mu, var, seed=seeds, padding=shape.padding),
            rivals=[
                Rival("looped", lambda: [local_reparam(*rival) for _ in range(samples)]),
                Rival("mean and variance once", lambda: local_reparam_draws(*rival, samples)),
                compiled("mean and variance once", local_reparam_draws, *rival, samples),
            ],
            limit=limit(shape, samples),
            target=Target({"looped": 8.0}),
        )
    )


class EagerLayer(nn.Module):
    """The layer as users write it."""

    def __init__(self, layer: bnn.GaussianConv2d) -> None:
        super().__init__()
        self.mu, self.rho, self.padding = layer.weight_mu, layer.weight_rho, layer.padding[0]

    def forward(self, x: Tensor) -> Tensor:
        return local_reparam(x, self.mu, F.softplus(self.rho) ** 2, self.padding)


@pytest.mark.parametrize("shape", [Shape(64, 3, 32, 32), Shape(64, 32, 64, 16), Shape(32, 128, 128, 14)], ids=str)
def test_training(side_by_side: SideBySide, shape: Shape, threads: int) -> None:
    """Forward and backward of a layer; the input's gradient, too, except in a first layer."""
    x, _ = shape.tensors()
    x.requires_grad_(shape.channels > 3)
    gradient = torch.randn(shape.examples, shape.out_channels, shape.size, shape.size)
    layer = bnn.GaussianConv2d(shape.channels, shape.out_channels, shape.kernel, padding=shape.padding, bias=False)
    eager = EagerLayer(layer)
    leaves = [*eager.parameters(), *([x] if x.requires_grad else [])]
    plain = nn.Conv2d(shape.channels, shape.out_channels, shape.kernel, padding=shape.padding, bias=False)
    plain_leaves = [*plain.parameters(), *([x] if x.requires_grad else [])]
    torch.compiler.reset()
    compiled_layer = torch.compile(eager, dynamic=False)
    convolutions = 3 if x.requires_grad else 2
    side_by_side(
        Case(
            group=groups.LOCAL_REPARAM_TRAINING.title,
            name=shape.label,
            threads=threads,
            parameters=vars(shape),
            ours=lambda: torch.autograd.grad(layer(x), leaves, gradient),
            rivals=[
                Rival("eager", lambda: torch.autograd.grad(eager(x), leaves, gradient)),
                Rival(
                    "eager, compiled", lambda: torch.autograd.grad(compiled_layer(x), leaves, gradient), optional=True
                ),
                Rival("plain convolution", lambda: torch.autograd.grad(plain(x), plain_leaves, gradient)),
            ],
            limit=Limit(
                "convolutions at the measured peak and a Philox word for each of two normals",
                lambda: (
                    2 * convolutions * shape.operations / multiply_add_peak()
                    + 2 * gradient.numel() / machine.word_rate()
                ),
            ),
            target=Target({"eager": 1 / 0.6}),
        )
    )
