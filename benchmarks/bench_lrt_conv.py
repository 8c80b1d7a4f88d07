"""Local reparameterisation: bars 4 and 5 of the project, and its training bar."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bayesops import nn as bnn
from bayesops import ops, random
from benchmarks import groups
from benchmarks.convolutions import BF16, TF32, Form, Shape, on_cpu, on_device
from benchmarks.gaussian_convolutions import local_reparam, local_reparam_draws, local_reparam_in_place
from benchmarks.places import Place
from benchmarks.side_by_side import Rival, compiled
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


ON_DEVICE = on_device(
    (Shape(1, 64, 64, 56), TF32),
    (Shape(256, 3, 64, 32), TF32),
    (Shape(256, 3, 64, 32), BF16),
    (Shape(256, 64, 64, 32), TF32),
    (Shape(256, 64, 64, 32), BF16),
    (Shape(256, 256, 256, 8), BF16),
)


def limit(place: Place, shape: Shape, form: Form, draws: int = 1) -> Limit:
    """Two convolutions at the measured peak, and a Philox word for each normal."""
    normals = draws * shape.examples * shape.out_channels * shape.size**2
    return Limit(
        "two convolutions at the measured peak and a Philox word a normal",
        lambda: 2 * shape.operations / place.multiply_add_rate(form.dtype) + normals / place.word_rate(),
    )


def tensors(place: Place, shape: Shape, form: Form) -> tuple[Tensor, Tensor, Tensor]:
    x, mu = shape.tensors(place.device, form)
    return x, mu, torch.rand_like(mu) * 0.01


@pytest.mark.parametrize(("shape", "form"), on_cpu(FIRST_LAYERS + LATER_LAYERS) + ON_DEVICE, ids=str)
@torch.no_grad()
def test_one_draw(side_by_side: SideBySide, place: Place, shape: Shape, form: Form, threads: int | None) -> None:
    """Bar 4."""
    x, mu, var = tensors(place, shape, form)
    wanted = {"eager": 3.0 if shape.channels <= 3 else 1.5}  # on first layers, and on later ones
    if shape.reduction >= 576:
        wanted["F.conv2d"] = 1 / 2.1
    torch.compiler.reset()
    rival = x, mu, var, shape.padding
    side_by_side(
        Case(
            group=groups.LOCAL_REPARAM.title,
            name=shape.label + form.label,
            threads=threads,
            parameters=vars(shape) | form.parameters,
            ours=lambda: ops.lrt_conv2d(x, mu, var, seed=0, padding=shape.padding),
            rivals=[
                Rival("eager", lambda: local_reparam(*rival)),
                Rival("eager, in place", lambda: local_reparam_in_place(*rival)),
                compiled("eager", local_reparam, *rival),
                Rival("F.conv2d", lambda: F.conv2d(x, mu, padding=shape.padding)),
            ],
            limit=limit(place, shape, form),
            target=Target(wanted),
        )
    )


@pytest.mark.parametrize(
    ("shape", "form"),
    on_cpu([Shape(1, 1, 6, 28, kernel=5), Shape(1, 3, 64, 32), Shape(8, 3, 32, 32, kernel=5)])
    + on_device((Shape(1, 3, 64, 32), TF32), (Shape(64, 3, 64, 32), TF32), (Shape(64, 3, 64, 32), BF16)),
    ids=str,
)
@torch.no_grad()
def test_draws_of_a_shared_input(
    side_by_side: SideBySide, place: Place, shape: Shape, form: Form, threads: int | None
) -> None:
    """Bar 5: mean and variance of a first layer once, then T draws."""
    samples = 50
    x, mu, var = tensors(place, shape, form)
    seeds = random.sample_seeds(0, samples, device=place.device)
    rival = x, mu, var, shape.padding
    side_by_side(
        Case(
            group=groups.LOCAL_REPARAM_DRAWS.title,
            name=f"T = {samples}, {shape.label}{form.label}",
            threads=threads,
            parameters=vars(shape) | form.parameters | {"samples": samples},
            ours=lambda: ops.lrt_conv2d(x, mu, var, seed=seeds, padding=shape.padding),
            rivals=[
                Rival("looped", lambda: [local_reparam(*rival) for _ in range(samples)]),
                Rival("mean and variance once", lambda: local_reparam_draws(*rival, samples)),
                compiled("mean and variance once", local_reparam_draws, *rival, samples),
            ],
            limit=limit(place, shape, form, samples),
            target=Target({"looped": 8.0}),
        )
    )


@pytest.mark.device_only
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@torch.no_grad()
def test_epilogue(side_by_side: SideBySide, place: Place, dtype: torch.dtype, threads: int | None) -> None:
    """What follows the two convolutions on a GPU: reads mean and variance, writes output and standard deviation."""
    if place.device.type == "meta":
        pytest.skip("not an operator of its own, and so without a fake")
    shape = (1024, 64, 32, 32)
    mean = TF32.randn(*shape, device=place.device).to(dtype)
    variance = mean.square()
    seed = torch.tensor(0, device=place.device)

    def eager(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        deviation = variance.sqrt()
        return torch.addcmul(mean, deviation, torch.randn_like(mean)), deviation

    def seconds() -> float:
        return max(2 * place.copy_seconds(mean, variance), mean.numel() / place.word_rate())

    side_by_side(
        Case(
            group=groups.EPILOGUE.title,
            name=f"{' × '.join(map(str, shape))}, {str(dtype).removeprefix('torch.')}, channels-last",
            threads=threads,
            parameters={"shape": shape, "dtype": str(dtype)},
            ours=lambda: torch.ops.bayesops.lrt_epilogue(mean, variance, seed, 0, 2),
            rivals=[Rival("eager", lambda: eager(mean, variance)), compiled("eager", eager, mean, variance)],
            limit=Limit("two copies of the same size, or a Philox word a normal, whichever takes longer", seconds),
            on_device=Target(achieved=0.7),
        )
    )


class EagerLayer(nn.Module):
    """The layer as users write it."""

    def __init__(self, layer: bnn.GaussianConv2d) -> None:
        super().__init__()
        self.mu, self.rho, self.padding = layer.weight_mu, layer.weight_rho, layer.padding[0]

    def forward(self, x: Tensor) -> Tensor:
        return local_reparam(x, self.mu, F.softplus(self.rho) ** 2, self.padding)


@pytest.mark.parametrize(
    ("shape", "form"),
    on_cpu([Shape(64, 3, 32, 32), Shape(64, 32, 64, 16), Shape(32, 128, 128, 14)])
    + on_device((Shape(256, 3, 64, 32), TF32), (Shape(256, 64, 64, 32), TF32), (Shape(256, 64, 64, 32), BF16)),
    ids=str,
)
def test_training(side_by_side: SideBySide, place: Place, shape: Shape, form: Form, threads: int | None) -> None:
    """Forward and backward of a layer; the input's gradient, too, except in a first layer."""
    x, _ = shape.tensors(place.device, form)
    x.requires_grad_(shape.channels > 3)
    gradient = shape.gradient(place.device, form)
    sizes = shape.channels, shape.out_channels, shape.kernel
    made = {"padding": shape.padding, "bias": False, "device": place.device, "dtype": form.dtype}
    layer = bnn.GaussianConv2d(*sizes, **made)
    eager = EagerLayer(layer)
    leaves = [*eager.parameters(), *([x] if x.requires_grad else [])]
    plain = nn.Conv2d(*sizes, **made)
    plain_leaves = [*plain.parameters(), *([x] if x.requires_grad else [])]
    torch.compiler.reset()
    compiled_layer = torch.compile(eager, dynamic=False)
    convolutions = 3 if x.requires_grad else 2
    side_by_side(
        Case(
            group=groups.LOCAL_REPARAM_TRAINING.title,
            name=shape.label + form.label,
            threads=threads,
            parameters=vars(shape) | form.parameters,
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
                    2 * convolutions * shape.operations / place.multiply_add_rate(form.dtype)
                    + 2 * gradient.numel() / place.word_rate()
                ),
            ),
            target=Target({"eager": 1 / 0.6}),
            memory=threads is None,
        )
    )
