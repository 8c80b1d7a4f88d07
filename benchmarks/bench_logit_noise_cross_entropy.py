"""Cross entropy of noisy logits, forward and backward, and what it needs of memory: bar 10."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bayesops import ops
from benchmarks import groups
from benchmarks.places import Place
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, Limit, SideBySide, Target

CAMVID = (1, 11, 180, 240)  # the shape of the bar
LARGE = (8, 11, 360, 480)
SHAPES = [
    CAMVID,
    pytest.param((4, 11, 180, 240), marks=pytest.mark.cpu_only),
    pytest.param((1, 19, 128, 256), marks=pytest.mark.cpu_only),
    (128, 10),
    (32, 1000),
    pytest.param(LARGE, marks=pytest.mark.device_only),
]
DRAWS, CHUNK = 50, 5


def log_probabilities(logits: Tensor, log_var: Tensor, target: Tensor, draws: int) -> Tensor:
    """Log probabilities of the target in each of so many draws."""
    noisy = logits + torch.exp(log_var / 2) * torch.randn(draws, *logits.shape, device=logits.device)
    index = target[None, :, None].expand(draws, -1, -1, *[-1] * (logits.dim() - 2))
    return noisy.log_softmax(2).gather(2, index).squeeze(2)


def eager(logits: Tensor, log_var: Tensor, target: Tensor) -> Tensor:
    """All draws at once, as one would write it."""
    return (math.log(DRAWS) - log_probabilities(logits, log_var, target, DRAWS).logsumexp(0)).mean()


def chunked(logits: Tensor, log_var: Tensor, target: Tensor) -> Tensor:
    """A few draws at a time, formed again for the backward pass."""

    def some(logits: Tensor, log_var: Tensor) -> Tensor:
        return log_probabilities(logits, log_var, target, CHUNK).logsumexp(0)

    parts = [checkpoint(some, logits, log_var, use_reentrant=False) for _ in range(DRAWS // CHUNK)]
    return (math.log(DRAWS) - torch.stack(parts).logsumexp(0)).mean()


def looped(logits: Tensor, log_var: Tensor, target: Tensor) -> Tensor:
    """One draw after another."""
    sum_of_all = log_probabilities(logits, log_var, target, 1)[0]
    for _ in range(DRAWS - 1):
        sum_of_all = torch.logaddexp(sum_of_all, log_probabilities(logits, log_var, target, 1)[0])
    return (math.log(DRAWS) - sum_of_all).mean()


def ours(logits: Tensor, log_var: Tensor, target: Tensor) -> Tensor:
    return ops.logit_noise_cross_entropy(logits, log_var, target, num_samples=DRAWS, seed=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_logit_noise(
    side_by_side: SideBySide, place: Place, shape: tuple[int, ...], dtype: torch.dtype, threads: int | None
) -> None:
    if dtype == torch.bfloat16 and shape not in (CAMVID, LARGE):
        pytest.skip("once is enough")
    logits, log_var = (torch.randn(shape, device=place.device).to(dtype).requires_grad_() for _ in range(2))
    target = torch.randint(shape[1], (shape[0], *shape[2:]), device=place.device)

    def both_ways(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(function(logits, log_var, target), (logits, log_var))

    name = " × ".join(map(str, shape))
    side_by_side(
        Case(
            group=groups.LOGIT_NOISE.title,
            name=f"{name}, T = {DRAWS}" + (", bfloat16" if dtype == torch.bfloat16 else ""),
            threads=threads,
            parameters={"shape": shape, "draws": DRAWS, "dtype": str(dtype)},
            ours=both_ways(ours),
            rivals=[
                Rival("eager", both_ways(eager)),
                Rival("chunked", both_ways(chunked)),
                Rival("looped", both_ways(looped)),
                Rival("eager, compiled", both_ways(torch.compile(eager, dynamic=False)), optional=True),
            ],
            limit=Limit(
                "the normals alone, at our generator's rate", lambda: DRAWS * logits.numel() / place.normal_rate()
            ),
            target=Target({"eager": 8.0}, memory={"eager": 20.0}) if shape == CAMVID else None,
            on_device=Target({"eager": 8.0}, achieved=0.7, memory={"eager": 20.0}) if shape == LARGE else None,
            memory=len(shape) > 2,
        )
    )
