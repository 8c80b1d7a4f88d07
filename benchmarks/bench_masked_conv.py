"""Masked convolutions: bars 1, 2, 3 and 7 of the project."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bayesops import ops, random
from benchmarks import batched, groups
from benchmarks.convolutions import (
    BF16,
    TF32,
    Form,
    Shape,
    grouped,
    looped,
    on_cpu,
    on_device,
    vmapped,
)
from benchmarks.places import Place
from benchmarks.side_by_side import Rival, compiled
from benchmarks.suite import Case, Limit, SideBySide, Target, flop_limit

PLAIN = [
    Shape(1, 16, 16, 14),
    Shape(1, 64, 64, 56),
    Shape(1, 128, 128, 28),
    Shape(1, 128, 128, 14),
    Shape(1, 128, 128, 7),
    Shape(1, 256, 256, 14),
    Shape(1, 512, 512, 7),
    Shape(8, 64, 64, 32),
    Shape(32, 128, 128, 14),
    Shape(8, 256, 256, 8, kernel=1),
    Shape(8, 32, 32, 32, kernel=5),
]


@pytest.mark.cpu_only
@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "channels-last"])
@pytest.mark.parametrize("shape", PLAIN, ids=str)
@torch.no_grad()
def test_plain(side_by_side: SideBySide, place: Place, shape: Shape, channels_last: bool, threads: int) -> None:
    """Bar 1: nothing is dropped, so this is the core against oneDNN."""
    x, w = shape.tensors(place.device, Form(channels_last=channels_last))

    def ours() -> Tensor:
        return ops.masked_conv2d(x, w, p=0.0, seed=0, padding=shape.padding)

    def onednn() -> Tensor:
        return F.conv2d(x, w, padding=shape.padding)

    torch.testing.assert_close(ours(), onednn(), atol=1e-3, rtol=1e-3)
    side_by_side(
        Case(
            group=groups.PLAIN.title,
            name=f"{shape.label}, {'channels-last' if channels_last else 'NCHW'}",
            threads=threads,
            parameters=vars(shape) | {"channels_last": channels_last, "p": 0.0},
            ours=ours,
            rivals=[Rival("F.conv2d", onednn)],
            limit=flop_limit(place, shape.operations),
            target=Target({"F.conv2d": 1 / 1.05}, achieved=0.9 if shape.reduction >= 576 else 0.8),
        )
    )


# shape of one sample; number of samples; time against T plain convolutions, and share of the peak, to reach
SAMPLED = [
    (Shape(1, 128, 128, 7), 50, 0.5, 0.70),
    (Shape(1, 128, 128, 14), 20, 0.8, None),
    (Shape(1, 128, 128, 28), 10, 0.9, 0.88),
    (Shape(1, 64, 64, 56), 10, 0.95, 0.88),
]


@pytest.mark.cpu_only
@pytest.mark.parametrize(("shape", "samples", "of_plain", "of_peak"), SAMPLED, ids=[str(row[0]) for row in SAMPLED])
@torch.no_grad()
def test_samples(
    side_by_side: SideBySide,
    place: Place,
    shape: Shape,
    samples: int,
    of_plain: float,
    of_peak: float | None,
    threads: int,
) -> None:
    """Bar 2: T masks for T inputs, as in every layer after the first of T samples of a network."""
    p = 0.3
    _, w = shape.tensors(place.device)
    images = torch.randn(samples, shape.channels, shape.size, shape.size)
    inputs = images[:, None]
    seeds = random.sample_seeds(0, samples)
    torch.compiler.reset()
    rival = images, w, p, shape.padding
    side_by_side(
        Case(
            group=groups.SAMPLES.title,
            name=f"T = {samples}, {shape.label}",
            threads=threads,
            parameters=vars(shape) | {"samples": samples, "p": p},
            ours=lambda: ops.masked_conv2d(inputs, w, p=p, seed=seeds, padding=shape.padding),
            rivals=[
                Rival("T plain", lambda: [F.conv2d(image, w, padding=shape.padding) for image in images.split(1)]),
                Rival("one plain batch", lambda: F.conv2d(images, w, padding=shape.padding)),
                Rival("looped", lambda: looped(*rival)),
                Rival("grouped", lambda: grouped(*rival)),
                Rival("vmapped", lambda: vmapped(*rival)),
                batched.compiled_loop(inputs, w, p, shape.padding),
                compiled("grouped", grouped, *rival),
            ],
            limit=flop_limit(place, samples * shape.operations),
            target=Target({"T plain": 1 / of_plain}, achieved=of_peak),
        )
    )


@pytest.mark.parametrize(
    ("shape", "form"),
    on_device(
        (Shape(1, 128, 128, 7), TF32),
        (Shape(1, 64, 64, 56), TF32),
        (Shape(8, 64, 64, 32), BF16),
        (Shape(64, 64, 64, 32), BF16),
        (Shape(64, 256, 256, 8), BF16),
        (Shape(64, 512, 512, 4), BF16),
    ),
    ids=str,
)
@torch.no_grad()
def test_samples_of_batches(
    side_by_side: SideBySide, place: Place, shape: Shape, form: Form, threads: int | None
) -> None:
    """Bar 2 as a GPU meets it: T masks for T inputs of a batch each."""
    p, samples = 0.3, 50
    _, w = shape.tensors(place.device, form)
    images = form.randn(samples * shape.examples, shape.channels, shape.size, shape.size, device=place.device)
    inputs = images.unflatten(0, (samples, shape.examples))
    seeds = random.sample_seeds(0, samples, device=place.device)
    rival = inputs, w, p, shape.padding

    def ours() -> Tensor:
        return ops.masked_conv2d(inputs, w, p=p, seed=seeds, padding=shape.padding)

    side_by_side(
        Case(
            group=groups.SAMPLES.title,
            name=f"T = {samples}, {shape.label}{form.label}",
            threads=threads,
            parameters=vars(shape) | form.parameters | {"samples": samples, "p": p},
            ours=ours,
            rivals=[
                *batched.ours_each_way(ours),
                Rival("T plain", lambda: [F.conv2d(batch, w, padding=shape.padding) for batch in inputs]),
                Rival("one plain batch", lambda: F.conv2d(images, w, padding=shape.padding)),
                Rival("looped", lambda: batched.looped(*rival)),
                Rival("grouped", lambda: batched.grouped(*rival)),
                Rival("vmapped", lambda: batched.vmapped(*rival)),
                batched.compiled_loop(*rival),
                compiled("grouped", batched.grouped, *rival),
            ],
            limit=flop_limit(place, samples * shape.operations, form.dtype),
            on_device=Target({"T plain": 1.0}),
        )
    )


@pytest.mark.parametrize(
    ("shape", "form"),
    on_cpu([Shape(32, 64, 64, 16), Shape(32, 128, 128, 8)])
    + on_device((Shape(128, 128, 128, 8), TF32), (Shape(64, 64, 64, 32), BF16)),
    ids=str,
)
def test_mask_per_example(
    side_by_side: SideBySide, place: Place, shape: Shape, form: Form, threads: int | None
) -> None:
    """Bar 3: a mask for each example of a training batch, forward and both gradients."""
    p = 0.5
    x, w = (tensor.requires_grad_() for tensor in shape.tensors(place.device, form))
    gradient = shape.gradient(place.device, form)

    def backward(output: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(output, (x, w), gradient)

    rival = x, w, p, shape.padding
    by_groups = compiled("grouped", grouped, *rival)
    of_device = [] if threads else [replace(by_groups, call=lambda: backward(by_groups.call()))]
    side_by_side(
        Case(
            group=groups.PER_EXAMPLE.title,
            name=shape.label + form.label,
            threads=threads,
            parameters=vars(shape) | form.parameters | {"p": p},
            ours=lambda: backward(ops.masked_conv2d(x, w, p=p, seed=0, per_example=True, padding=shape.padding)),
            rivals=[
                Rival("grouped", lambda: backward(grouped(*rival))),
                Rival("vmapped", lambda: backward(vmapped(*rival))),
                Rival("looped", lambda: backward(torch.cat(looped(*rival)))),
                Rival("plain training convolution", lambda: backward(F.conv2d(x, w, padding=shape.padding))),
                *of_device,
            ],
            limit=flop_limit(place, 3 * shape.operations, form.dtype),
            target=Target({"grouped": 5.0, "vmapped": 5.0, "plain training convolution": 1 / 1.5}),
        )
    )


@pytest.mark.cpu_only
@pytest.mark.parametrize("granularity", ["in_channel", "out_channel", "channel"])
@pytest.mark.parametrize("shape", [Shape(32, 128, 128, 14), Shape(1, 256, 256, 28)], ids=str)
@torch.no_grad()
def test_channel_masks(
    side_by_side: SideBySide, device: torch.device, shape: Shape, granularity: str, threads: int
) -> None:
    """Bar 7: exactly half of the channels dropped, on one side or on both, by masks that are given."""
    x, w = shape.tensors(device)
    half_in, half_out = (torch.randperm(n) < n // 2 for n in (shape.channels, shape.out_channels))
    kept_in = torch.ones_like(half_in) if granularity == "out_channel" else half_in
    kept_out = torch.ones_like(half_out) if granularity == "in_channel" else half_out
    kernels = torch.outer(kept_out, kept_in)
    mask = {"in_channel": half_in, "out_channel": half_out, "channel": torch.cat([half_in, half_out])}[granularity]

    def conv(mask: Tensor, granularity: str) -> Tensor:
        return ops.masked_conv2d(
            x, w, p=0.5, seed=None, mask=mask, granularity=granularity, rescale=False, padding=shape.padding
        )

    def without_skipping() -> Tensor:
        return conv(kernels, "kernel")

    def multiplied() -> Tensor:
        return F.conv2d(x, w * kernels[:, :, None, None], padding=shape.padding)

    torch.testing.assert_close(conv(mask, granularity), without_skipping(), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(conv(mask, granularity), multiplied(), atol=1e-3, rtol=1e-3)
    sides = 2 if granularity == "channel" else 1
    side_by_side(
        Case(
            group=groups.CHANNELS.title,
            name=f"{shape.label}, {granularity}",
            threads=threads,
            parameters=vars(shape) | {"granularity": granularity},
            ours=lambda: conv(mask, granularity),
            rivals=[Rival("without skipping", without_skipping), Rival("F.conv2d, weight masked", multiplied)],
            limit=Limit("what is left to compute", speed_up=("without skipping", 2.0**sides)),
            target=Target({"without skipping": 2.5}) if sides == 2 else None,
        )
    )
