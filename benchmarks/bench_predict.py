"""Bar 6: T draws of whole models by `bayesops.predict`, against T passes of the deterministic model."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import bayesops as bo
from bayesops.profiling import twins
from benchmarks import groups
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, SideBySide, Target

SAMPLES = 50
POSTERIORS = {
    "masks": {"posterior": "bernoulli"},
    "weight sampling": {"posterior": "gaussian", "estimator": "weight_sample"},
    "local reparameterisation": {"posterior": "gaussian", "estimator": "local_reparam"},
    "Flipout": {"posterior": "gaussian", "estimator": "flipout"},
}
# At most so much of the time of T plain passes: by model for one image, by posterior for 32.
ONE_IMAGE = {"lenet5": 0.12, "3conv3fc": 0.5}
MANY_IMAGES = {"masks": 0.5, "weight sampling": 0.6, "local reparameterisation": 0.8}
TITLES = {"lenet5": "LeNet-5", "3conv3fc": "3conv3fc", "resnet18": "ResNet-18"}


def passes(model: nn.Module, images: Tensor) -> Tensor:
    """Mean and variance over T passes, as one would write it."""
    draws = torch.stack([torch.softmax(model(images), 1) for _ in range(SAMPLES)])
    return torch.cat([draws.mean(0), draws.var(0, correction=0)])


def target_of(name: str, posterior: str, examples: int) -> Target | None:
    """The bar; Flipout has none, nor has one image of ResNet-18."""
    share = ONE_IMAGE.get(name) if examples == 1 else MANY_IMAGES.get(posterior)
    if share is None or posterior not in MANY_IMAGES:
        return None
    return Target(speed_up={"T plain": 1 / share})


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("examples", [1, 32])
@pytest.mark.parametrize("name", TITLES)
@torch.no_grad()
def test_model(side_by_side: SideBySide, name: str, examples: int, posterior: str, threads: int) -> None:
    """T = 50."""
    if name == "resnet18" and examples > 1 and threads == 1:
        pytest.skip("takes minutes a case, and no bar is set for it")
    model = bo.models.build(name, bayesian=True, **POSTERIORS[posterior]).eval()
    plain = twins.deterministic(model).eval()
    channels_last = twins.deterministic(model).eval().to(memory_format=torch.channels_last)
    naive = twins.naive(model).eval()
    images = bo.models.example_input(name, examples)
    images_last = images.contiguous(memory_format=torch.channels_last)

    def calls(path: str) -> Callable[[], object]:
        return lambda: bo.predict(model, images, num_samples=SAMPLES, path=path)

    rivals = [Rival("T plain", lambda: passes(plain, images))]
    rivals.append(Rival("T plain, channels-last", lambda: passes(channels_last, images_last)))
    if name != "resnet18":  # seconds a call
        rivals.append(Rival("loop, drawn by torch", lambda: passes(naive, images)))
        rivals.append(Rival("our vmap path", calls("vmap")))
    side_by_side(
        Case(
            group=groups.PREDICT.title,
            name=f"{TITLES[name]}, N = {examples}, {posterior}",
            threads=threads,
            parameters={"model": name, "examples": examples, "samples": SAMPLES, "posterior": posterior},
            ours=calls("plan"),
            rivals=rivals,
            target=target_of(name, posterior, examples),
        )
    )
