"""Convolutions of few channels, whose samples share panels, and linear maps of one example, which are not packed."""

import pytest
import torch

from bayesops import ops
from bayesops.ops.fused import Epilogue, masked_conv_fused, sampled_conv_fused
from bayesops.reference.masked_conv import masked_conv
from bayesops.reference.sampled_conv import sampled_conv

DTYPES = [torch.float32, torch.float64, torch.bfloat16]
FAMILIES = {
    "weight": lambda x, w, b, seed, **o: ops.masked_conv2d(x, w, b, p=0.3, seed=seed, **o),
    "kernel": lambda x, w, b, seed, **o: ops.masked_conv2d(x, w, b, p=0.3, seed=seed, granularity="kernel", **o),
    "given": lambda x, w, b, seed, **o: ops.masked_conv2d(x, w, b, p=0.3, seed=seed, mask=given(seed, w), **o),
    "sampled": lambda x, w, b, seed, **o: ops.sampled_conv2d(x, w, w.abs() - 1, b, b.abs(), seed=seed, **o),
}


def given(seed, weight):
    return torch.stack([torch.sin((1.0 + s) * torch.arange(weight.numel())) > 0 for s in seed.flatten()]).reshape(
        *seed.shape, *weight.shape
    )


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("samples", [2, 9, 50])
@pytest.mark.parametrize("columns", [1, 5, 6, 10, 16, 20, 24, 25, 50])
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_are_those_of_each_seed_alone(family, columns, samples, format, dtype):
    """To the bit: whether samples of few channels are worked on together is nobody's affair."""
    channels = 4 if dtype == torch.bfloat16 else 3  # an even number: multiplied in pairs where a machine can
    x = torch.randn(2, channels, 9, 7, dtype=dtype).contiguous(memory_format=format)
    w, b = torch.randn(columns, channels, 3, 2, dtype=dtype), torch.randn(columns, dtype=dtype)
    seeds = torch.arange(samples)
    convolve = FAMILIES[family]
    together = convolve(x, w, b, seeds, stride=(2, 1), padding=(1, 0))
    assert torch.equal(
        together, torch.stack([convolve(x, w, b, seed, stride=(2, 1), padding=(1, 0)) for seed in seeds])
    )


@pytest.mark.cpu_only
@pytest.mark.parametrize("residual", [None, "shared", "own"])
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("columns", [5, 10])
def test_epilogues_are_those_of_each_seed_alone(columns, format, residual):
    x = torch.randn(2, 3, 9, 9).contiguous(memory_format=format)
    w, b, seeds = torch.randn(columns, 3, 3, 3), torch.randn(columns), torch.arange(11)
    scale, shift = torch.randn(columns), torch.randn(columns)
    other = None if residual is None else torch.randn(11, 2, columns, 7, 7)
    if residual == "shared":
        other = other[0]
    for name, run in (
        ("masked", lambda seed, e: masked_conv_fused(x, w, b, epilogue=e, p=0.3, seed=seed)),
        ("sampled", lambda seed, e: sampled_conv_fused(x, w, w.abs(), b, b.abs(), epilogue=e, seed=seed)),
    ):
        together = run(seeds, Epilogue(scale, shift, other, True))
        for s in seeds:
            one = Epilogue(scale, shift, other[s] if residual == "own" else other, True)
            assert torch.equal(together[s], run(s, one)), name


@pytest.mark.cpu_only
def test_samples_of_large_images():
    """Several slabs, and tiles whose strips end in the middle of a row."""
    x, w, seeds = torch.randn(3, 1, 150, 131), torch.randn(6, 1, 5, 5), torch.arange(21)
    together = ops.masked_conv2d(x, w, p=0.5, seed=seeds, padding=2)
    for s in seeds:
        assert torch.equal(together[s], ops.masked_conv2d(x, w, p=0.5, seed=s, padding=2))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sharing", ["one draw", "shared input", "input per sample"])
@pytest.mark.parametrize(("length", "columns"), [(1, 1), (15, 3), (16, 70), (63, 48), (130, 17), (400, 120), (9001, 5)])
class TestOneExample:
    def input_and_seeds(self, sharing, length, dtype):
        seeds = torch.tensor([3, -8, 2**62 + 5])
        shape = (3, 1, length) if sharing == "input per sample" else (1, length)
        return torch.randn(shape, dtype=dtype), seeds[0] if sharing == "one draw" else seeds

    def check(self, ours, reference, tensors, compare):
        """`reference` of tensors."""
        if ours.dtype == torch.float64:  # long sums: the reference is rounded as we are, in another order
            torch.testing.assert_close(ours, reference(*tensors), rtol=1e-10, atol=1e-11)
        else:
            compare(ours, reference(*tensors), reference(*(t.double() for t in tensors)))

    @pytest.mark.parametrize("granularity", ["weight", "kernel", "out_channel"])
    def test_masked(self, length, columns, sharing, dtype, granularity, assert_as_exact_as_torch):
        x, seeds = self.input_and_seeds(sharing, length, dtype)
        w, b = torch.randn(columns, length, dtype=dtype), torch.randn(columns, dtype=dtype)
        options = {"p": 0.3, "seed": seeds, "granularity": granularity, "stream": 2}
        ours = ops.masked_linear(x, w, b, **options)
        self.check(ours, lambda *t: masked_conv(*t, **options), (x, w, b), assert_as_exact_as_torch)

    def test_sampled(self, length, columns, sharing, dtype, assert_as_exact_as_torch):
        x, seeds = self.input_and_seeds(sharing, length, dtype)
        w, b = torch.randn(columns, length, dtype=dtype), torch.randn(columns, dtype=dtype)
        rho, bias_rho = torch.randn(columns, length, dtype=dtype), torch.randn(columns, dtype=dtype)
        ours = ops.sampled_linear(x, w, rho, b, bias_rho, seed=seeds, stream=2)
        self.check(
            ours, lambda *t: sampled_conv(*t, seed=seeds, stream=2), (x, w, rho, b, bias_rho), assert_as_exact_as_torch
        )


@pytest.mark.parametrize("columns", [0, 3])
@pytest.mark.parametrize("channels", [0, 3])
def test_nothing_to_multiply(channels, columns):
    """No inputs, or no outputs: the bias, or nothing, of one example and of small images."""
    seeds, b = torch.arange(3), torch.randn(columns)
    w, images = torch.zeros(columns, channels), torch.zeros(2, channels, 4, 4)
    x, window = torch.zeros(1, channels), torch.zeros(columns, channels, 3, 3)
    for output in (
        ops.masked_linear(x, w, b, p=0.5, seed=seeds),
        ops.sampled_linear(x, w, w - 200, b, b - 200, seed=seeds),
        ops.flipout_linear(x, w, w - 200, b, b - 200, seed=seeds),
    ):
        assert torch.equal(output, b.expand(3, 1, columns))
    for output in (
        ops.masked_conv2d(images, window, b, p=0.5, seed=seeds),
        ops.sampled_conv2d(images, window, window - 200, b, b - 200, seed=seeds),
    ):
        assert torch.equal(output, b[:, None, None].expand(3, 2, columns, 2, 2))


def test_one_example_with_a_mask_for_each():
    """Examples with masks of their own are rows by themselves."""
    x, w, b = torch.randn(5, 37), torch.randn(9, 37), torch.randn(9)
    options = {"p": 0.4, "seed": torch.tensor([1, 2]), "per_example": True}
    torch.testing.assert_close(ops.masked_linear(x, w, b, **options), masked_conv(x, w, b, **options))
