"""Weight sampling and Flipout: T draws of a layer, against loops of plain PyTorch and the layers of peers."""

import pytest
import torch
import torch.nn.functional as F

from bayesops import ops, random
from benchmarks import groups
from benchmarks.convolutions import Shape
from benchmarks.gaussian_convolutions import PEERS, flipout, peer, sampled
from benchmarks.places import Place
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, Limit, SideBySide, flop_limit

FAMILIES = {
    "sampled": (ops.sampled_conv2d, sampled, groups.SAMPLED, 1),
    "flipout": (ops.flipout_conv2d, flipout, groups.FLIPOUT, 2),
}


@pytest.mark.cpu_only
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "shape", [Shape(1, 128, 128, 7), Shape(1, 128, 128, 14), Shape(1, 64, 64, 28), Shape(32, 32, 64, 14)], ids=str
)
@torch.no_grad()
def test_samples(side_by_side: SideBySide, place: Place, shape: Shape, family: str, threads: int) -> None:
    """T draws of the weight for T inputs, as in every layer after the first stochastic one."""
    samples = 20
    operator, eager, group, convolutions = FAMILIES[family]
    _, mu = shape.tensors(place.device)
    rho = torch.full_like(mu, -3.0)
    inputs = torch.randn(samples, shape.examples, shape.channels, shape.size, shape.size)
    seeds = random.sample_seeds(0, samples)
    flops = flop_limit(place, convolutions * samples * shape.operations).seconds
    assert flops is not None
    side_by_side(
        Case(
            group=group.title,
            name=f"T = {samples}, {shape.label}",
            threads=threads,
            parameters=vars(shape) | {"samples": samples},
            ours=lambda: operator(inputs, mu, rho, seed=seeds, padding=shape.padding),
            rivals=[
                Rival("looped", lambda: [eager(x, mu, rho, shape.padding) for x in inputs]),
                Rival("T plain", lambda: [F.conv2d(x, mu, padding=shape.padding) for x in inputs]),
                *[peer(*names, shape, lambda layer: [layer(x) for x in inputs]) for names in PEERS[family]],
            ],
            limit=Limit(
                "convolutions at the measured peak and a Philox word a weight",
                lambda: flops() + samples * mu.numel() / place.word_rate(),
            ),
        )
    )
