"""Max pooling with an activation behind it against PyTorch's two operations; no bar of the project is set."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bayesops import ops
from benchmarks import groups
from benchmarks.places import Place
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, Limit, SideBySide

SHAPES = [(50, 6, 28, 28), (416, 6, 28, 28), (128, 32, 32, 32)]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "softplus": F.softplus}


@pytest.mark.cpu_only
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@torch.no_grad()
def test_pooling(
    side_by_side: SideBySide, place: Place, shape: tuple[int, ...], channels_last: bool, activation: str, threads: int
) -> None:
    """2 × 2, of images as LeNet-5 and 3conv3fc have them."""
    images = torch.randn(shape)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    copied = torch.empty_like(images)
    side_by_side(
        Case(
            group=groups.MAX_POOL.title,
            name=f"{' × '.join(map(str, shape))}, {activation}{', channels-last' if channels_last else ''}",
            threads=threads,
            parameters={"shape": shape, "activation": activation, "channels_last": channels_last},
            ours=lambda: ops.max_pool2d(images, 2, activation=activation),
            rivals=[Rival("eager", lambda: F.max_pool2d(ACTIVATIONS[activation](images), 2))],
            limit=Limit(
                "5/8 of a copy of the same size",
                lambda: place.copy_seconds(images, copied) * 5 / 8,
            ),
        )
    )
