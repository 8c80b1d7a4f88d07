"""bfloat16 on a CPU: what it gains over our float32, and against PyTorch in bfloat16."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import bayesops as bo
from bayesops import ops, random
from bayesops.profiling import twins
from benchmarks import groups
from benchmarks.bench_predict import SAMPLES, TITLES, built, passes
from benchmarks.convolutions import Form, Shape
from benchmarks.places import Place
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, Limit, SideBySide, flop_limit

FORMS = [Form(torch.bfloat16), Form(torch.bfloat16, channels_last=True)]
LAYERS = [Shape(1, 128, 128, 14), Shape(1, 64, 64, 56), Shape(8, 64, 64, 32), Shape(32, 128, 128, 14)]


def case(
    name: str,
    threads: int,
    shape: Shape,
    form: Form,
    samples: int,
    ours: Callable[[], object],
    wide: Callable[[], object],
    plain: Callable[[], object],
    limit: Limit,
) -> Case:
    layout = "channels-last" if form.channels_last else "NCHW"
    return Case(
        group=groups.BFLOAT16.title,
        name=f"{name}, {shape.label}, {layout}",
        threads=threads,
        parameters=vars(shape) | form.parameters | {"operator": name, "samples": samples},
        ours=ours,
        rivals=[Rival("ours in float32", wide), Rival("plain", plain)],
        limit=limit,
    )


@pytest.mark.cpu_only
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("shape", LAYERS, ids=str)
@torch.no_grad()
def test_plain(side_by_side: SideBySide, place: Place, shape: Shape, form: Form, threads: int) -> None:
    """Nothing is dropped: our core against oneDNN."""
    x, w = shape.tensors(place.device, form)
    wide, pad = (x.float(), w.float()), shape.padding
    side_by_side(
        case(
            "plain", threads, shape, form, 1,
            lambda: ops.masked_conv2d(x, w, p=0.0, seed=0, padding=pad),
            lambda: ops.masked_conv2d(*wide, p=0.0, seed=0, padding=pad),
            lambda: F.conv2d(x, w, padding=pad),
            flop_limit(place, shape.operations, form.dtype),
        )
    )  # fmt: skip


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("shape", "samples"),
    [(Shape(1, 128, 128, 7), 50), (Shape(1, 128, 128, 14), 20), (Shape(1, 128, 128, 28), 10)],
    ids=str,
)
@pytest.mark.parametrize("family", ["masks", "weight sampling"])
@torch.no_grad()
def test_samples(side_by_side: SideBySide, place: Place, family: str, shape: Shape, samples: int, threads: int) -> None:
    """T draws of the weight for T inputs; plain: T convolutions that draw nothing."""
    form = FORMS[0]
    _, w = shape.tensors(place.device, form)
    inputs = form.randn(samples * shape.examples, shape.channels, shape.size, shape.size, device=place.device)
    inputs = inputs.unflatten(0, (samples, shape.examples))
    seeds, rho = random.sample_seeds(0, samples), torch.full_like(w, -3.0)

    def ours(*tensors: Tensor) -> Tensor:
        x, mu, spread = tensors
        if family == "masks":
            return ops.masked_conv2d(x, mu, p=0.3, seed=seeds, padding=shape.padding)
        return ops.sampled_conv2d(x, mu, spread, seed=seeds, padding=shape.padding)

    wide = [t.float() for t in (inputs, w, rho)]
    side_by_side(
        case(
            f"{family}, T = {samples}", threads, shape, form, samples,
            lambda: ours(inputs, w, rho),
            lambda: ours(*wide),
            lambda: [F.conv2d(x, w, padding=shape.padding) for x in inputs],
            flop_limit(place, samples * shape.operations, form.dtype),
        )
    )  # fmt: skip


@pytest.mark.cpu_only
@pytest.mark.parametrize("shape", LAYERS, ids=str)
@torch.no_grad()
def test_local_reparam(side_by_side: SideBySide, place: Place, shape: Shape, threads: int) -> None:
    """One draw; plain: one convolution."""
    form = FORMS[0]
    x, mu = shape.tensors(place.device, form)
    tensors = x, mu, torch.rand_like(mu) * 0.01
    wide = [t.float() for t in tensors]
    side_by_side(
        case(
            "local reparameterisation", threads, shape, form, 1,
            lambda: ops.lrt_conv2d(*tensors, seed=0, padding=shape.padding),
            lambda: ops.lrt_conv2d(*wide, seed=0, padding=shape.padding),
            lambda: F.conv2d(x, mu, padding=shape.padding),
            flop_limit(place, 2 * shape.operations, form.dtype),
        )
    )  # fmt: skip


@pytest.mark.cpu_only
@pytest.mark.parametrize("posterior", ["masks", "weight sampling", "local reparameterisation"])
@pytest.mark.parametrize(("name", "examples"), [("lenet5", 32), ("3conv3fc", 32), ("resnet18", 1)])
@torch.no_grad()
def test_model(side_by_side: SideBySide, place: Place, name: str, examples: int, posterior: str, threads: int) -> None:
    """T = 50 draws; plain: T deterministic passes in bfloat16, channels-last."""
    if name == "resnet18" and threads == 1:
        pytest.skip("takes long, and says little more")
    wide = built(name, posterior, place.device)
    model = built(name, posterior, place.device, torch.bfloat16)
    plain = twins.deterministic(model).eval().to(memory_format=torch.channels_last)
    images = bo.models.example_input(name, examples).to(place.device)
    narrow = images.bfloat16()
    last = narrow.contiguous(memory_format=torch.channels_last)
    side_by_side(
        Case(
            group=groups.BFLOAT16.title,
            name=f"{TITLES[name]}, T = {SAMPLES}, N = {examples}, {posterior}",
            threads=threads,
            parameters={"model": name, "examples": examples, "samples": SAMPLES, "posterior": posterior}
            | {"dtype": str(narrow.dtype)},
            ours=lambda: bo.predict(model, narrow, num_samples=SAMPLES, path="plan"),
            rivals=[
                Rival("ours in float32", lambda: bo.predict(wide, images, num_samples=SAMPLES, path="plan")),
                Rival("plain", lambda: passes(plain, last)),
            ],
        )
    )
