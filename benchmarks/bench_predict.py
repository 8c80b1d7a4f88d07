"""Bar 6: T draws of whole models by `bayesops.predict`, against T passes of the deterministic model."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import bayesops as bo
from bayesops.profiling import twins
from benchmarks import groups
from benchmarks.places import Place
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, SideBySide, Target, flop_limit

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
RESNET18_OPERATIONS = 1.111e9  # multiplications and additions of one image
TITLES = {"lenet5": "LeNet-5", "3conv3fc": "3conv3fc", "resnet18": "ResNet-18"}


def passes(model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Mean and variance over T passes, as one would write it."""
    draws = torch.stack([torch.softmax(model(images), 1) for _ in range(SAMPLES)])
    return torch.cat([draws.mean(0), draws.var(0, correction=0)])


def target_of(name: str, posterior: str, examples: int) -> Target | None:
    """The bar; Flipout has none, nor has one image of ResNet-18."""
    share = ONE_IMAGE.get(name) if examples == 1 else MANY_IMAGES.get(posterior)
    if share is None or posterior not in MANY_IMAGES:
        return None
    return Target(speed_up={"T plain": 1 / share})


def built(name: str, posterior: str, device: torch.device, dtype: torch.dtype = torch.float32) -> nn.Module:
    model = bo.models.build(name, bayesian=True, **POSTERIORS[posterior]).eval()
    return model.to(device, dtype)


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("examples", [1, 32])
@pytest.mark.parametrize("name", TITLES)
@torch.no_grad()
def test_model(
    side_by_side: SideBySide, place: Place, name: str, examples: int, posterior: str, threads: int | None
) -> None:
    """T = 50."""
    if name == "resnet18" and examples > 1 and threads == 1:
        pytest.skip("takes minutes a case, and no bar is set for it")
    if threads is None and (name == "resnet18" or posterior == "Flipout" or (name, examples) == ("3conv3fc", 1)):
        pytest.skip("on a device, ResNet-18 has cases of its own, and of the others some are enough")
    model = built(name, posterior, place.device)
    plain = twins.deterministic(model).eval()
    channels_last = twins.deterministic(model).eval().to(memory_format=torch.channels_last)
    naive = twins.naive(model).eval()
    images = bo.models.example_input(name, examples).to(place.device)
    images_last = images.contiguous(memory_format=torch.channels_last)

    def calls(path: str) -> Callable[[], object]:
        return lambda: bo.predict(model, images, num_samples=SAMPLES, path=path)

    rivals = [Rival("T plain", lambda: passes(plain, images))]
    rivals.append(Rival("T plain, channels-last", lambda: passes(channels_last, images_last)))
    if threads is None:
        rivals.append(compiled(channels_last, images_last))
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


@pytest.mark.device_only
@pytest.mark.parametrize("posterior", POSTERIORS)
@torch.no_grad()
def test_resnet18(side_by_side: SideBySide, place: Place, posterior: str, threads: int | None) -> None:
    """A GPU's own bar: 64 images in bfloat16, channels-last, cost no more than T plain passes."""
    examples, dtype, channels_last = 64, torch.bfloat16, torch.channels_last
    model = built("resnet18", posterior, place.device, dtype)
    images = bo.models.example_input("resnet18", examples).to(place.device, dtype)
    images_last = images.contiguous(memory_format=channels_last)
    plain = twins.deterministic(model).eval()
    plain_last = twins.deterministic(model).eval().to(memory_format=channels_last)
    repeated = images_last.repeat(SAMPLES, 1, 1, 1).contiguous(memory_format=channels_last)

    def one_batch() -> Tensor:
        draws = torch.softmax(plain_last(repeated), 1).unflatten(0, (SAMPLES, examples))
        return torch.cat([draws.mean(0), draws.var(0, correction=0)])

    side_by_side(
        Case(
            group=groups.PREDICT.title,
            name=f"ResNet-18, N = {examples}, {posterior}, bfloat16, channels-last",
            threads=threads,
            parameters={"model": "resnet18", "examples": examples, "samples": SAMPLES, "posterior": posterior}
            | {"dtype": str(dtype), "channels_last": True},
            ours=lambda: bo.predict(model, images_last, num_samples=SAMPLES, path="plan"),
            rivals=[
                Rival("T plain", lambda: passes(plain, images)),
                Rival("T plain, channels-last", lambda: passes(plain_last, images_last)),
                compiled(plain_last, images_last),
                Rival("one plain batch", one_batch),
            ],
            limit=flop_limit(place, SAMPLES * examples * RESNET18_OPERATIONS * convolutions(posterior), dtype),
            on_device=Target({"T plain, channels-last": 1.0}),
            memory=True,
        )
    )


def compiled(model: nn.Module, images: Tensor) -> Rival:
    call = torch.compile(model, dynamic=False)
    return Rival("T plain, channels-last, compiled", lambda: passes(call, images), optional=True)


def convolutions(posterior: str) -> int:
    """How many a draw takes: of mean and variance, or of Flipout's mean and deviation."""
    return 2 if posterior in ("local reparameterisation", "Flipout") else 1
