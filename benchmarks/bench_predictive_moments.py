"""Moments of a chunk of draws against the operations of PyTorch that give the same; no bar of the project is set."""

import pytest
import torch
from torch import Tensor

from bayesops import ops
from benchmarks import groups
from benchmarks.places import Place
from benchmarks.side_by_side import Rival, compiled
from benchmarks.suite import Case, Limit, SideBySide, Target

# A LeNet-5's, of one image and of 32; of many classes; dense, in both memory formats.
LARGE = (16, 8, 11, 360, 480)  # several times what a GPU's cache holds
SHAPES = [
    pytest.param((50, 1, 10), marks=pytest.mark.cpu_only),
    pytest.param((13, 32, 10), marks=pytest.mark.cpu_only),
    (20, 32, 1000),
    pytest.param((4, 8, 11, 180, 240), marks=pytest.mark.cpu_only),
    pytest.param(LARGE, marks=pytest.mark.device_only),
]
BEFORE = 8  # draws that came before


def in_torch(draws: Tensor, mean: Tensor, deviations: Tensor, entropy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Softmax, entropies, the chunk's moments, and those of all draws (Chan, Golub and LeVeque, 1979)."""
    log = draws.log_softmax(2)
    p = log.exp()
    count = len(p)
    share = count / (BEFORE + count)
    own = p.mean(0)
    gap = own - mean
    return (
        mean + gap * share,
        deviations + (p - own).square().sum(0) + gap.square() * (BEFORE * share),
        entropy + (-(p * log).sum(2).mean(0) - entropy) * share,
    )


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@torch.no_grad()
def test_softmax(
    side_by_side: SideBySide, place: Place, shape: tuple[int, ...], channels_last: bool, threads: int | None
) -> None:
    if channels_last and len(shape) < 4:
        pytest.skip("has no pixels")
    device = place.device
    draws = torch.randn(shape, device=device)
    if channels_last:
        draws = draws.movedim(2, -1).contiguous().movedim(-1, 2)
    mean, deviations = (torch.full(shape[1:], 0.1, device=device) for _ in range(2))
    entropy, copied = torch.ones(shape[1:2] + shape[3:], device=device), torch.empty_like(draws)
    format = ", channels-last" if channels_last else ""
    rivals = [Rival("eager", lambda: in_torch(draws, mean, deviations, entropy))]
    if threads is None:
        rivals.append(compiled("eager", in_torch, draws, mean, deviations, entropy))
    side_by_side(
        Case(
            group=groups.MOMENTS.title,
            name=f"{' × '.join(map(str, shape))}{format}",
            threads=threads,
            parameters={"shape": shape, "channels_last": channels_last},
            ours=lambda: ops.add_predictive_moments(
                draws, softmax=True, count=BEFORE, mean=mean, deviations=deviations, expected_entropy=entropy
            ),
            rivals=rivals,
            limit=Limit("half a copy of the same size", lambda: place.copy_seconds(draws, copied) / 2),
            on_device=Target(achieved=0.7) if shape == LARGE else None,
        )
    )
