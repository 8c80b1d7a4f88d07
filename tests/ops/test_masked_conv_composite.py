"""The composite that CUDA runs, here on the CPU against the compiled operators."""

import pytest
import torch

from bayesops.ops import _masked_conv_composite as composite
from bayesops.ops import _sample_convolution
from bayesops.ops._arguments import padding_pairs, per_dim

pytestmark = pytest.mark.cpu_only  # where it is held against the compiled operators; on CUDA it is the operator

SEEDS = torch.tensor([3, -8, 21])


def _strides(tensor):
    """Strides that mean something: those of dimensions with more than one element."""
    return [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("granularity", range(5))
@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample", "each sample alone"])
def test_same_as_the_compiled_operators(problem, sharing, granularity, per_example, monkeypatch):
    if sharing == "each sample alone":
        monkeypatch.setattr(_sample_convolution, "ALONE_FROM", 0)
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    lead = (2,) if sharing in ("one-draw", "shared-input") else (3, 2)
    input, weight, bias = problem.tensors(torch.float64, lead)
    dims = problem.spatial
    stride = per_dim("", "", problem.options.get("stride", 1), dims, 1)
    dilation = per_dim("", "", problem.options.get("dilation", 1), dims, 1)
    padding = padding_pairs("", problem.options.get("padding", 0), weight.shape[2:], stride, dilation)
    groups = problem.options.get("groups", 1)
    options = (0.3, granularity, True, per_example, 5, stride, padding, dilation, groups)
    native = torch.ops.bayesops

    def check(name, *args):
        ours, expected = getattr(composite, name)(*args, *options), getattr(native, name)(*args, *options)
        torch.testing.assert_close(ours, expected)
        assert _strides(ours) == _strides(expected)
        return expected

    output = check("masked_conv", input, weight, bias, seed, None)
    if dims:
        images = input.movedim(-dims - 1, -1).contiguous().movedim(-1, -dims - 1)
        output = check("masked_conv", images, weight, bias, seed, None)
    gradient = torch.randn_like(output)
    check("masked_conv_input_grad", gradient, weight, seed, None, list(input.shape))
    check("masked_conv_weight_grad", gradient, input, seed, None, list(weight.shape))


@pytest.mark.parametrize("lead", [(0,), (3, 0)], ids=str)
@pytest.mark.parametrize("per_example", [False, True])
def test_no_examples(lead, per_example):
    input, weight = torch.randn(*lead, 4, 5, 5), torch.randn(6, 4, 3, 3)
    options = (0.3, 0, True, per_example, 5, [1, 1], [0, 0, 1, 1], [1, 1], 1)
    output = composite.masked_conv(input, weight, None, SEEDS, None, *options)
    assert output.shape == (3, 0, 6, 3, 5)
    assert composite.masked_conv_input_grad(output, weight, SEEDS, None, input.shape, *options).shape == input.shape
    gradient = composite.masked_conv_weight_grad(output, input, SEEDS, None, weight.shape, *options)
    assert torch.equal(gradient, torch.zeros_like(weight))


@pytest.mark.parametrize("granularity", range(4))
@pytest.mark.parametrize("num_examples", [0, 3])
def test_masked_weight(granularity, num_examples):
    weight = torch.randn(6, 2, 3, 3)
    base = [(6, 2, 3, 3), (6, 2, 1, 1), (4,), (6, 1, 1, 1)][granularity]
    examples = [num_examples] if num_examples else []
    for seed in (SEEDS[0], SEEDS):
        mask = torch.ops.bayesops.random_bernoulli(seed, [*examples, *base], 0.3, 5)
        if granularity == 2:
            mask = mask.unflatten(-1, (2, 1, 2)).expand(*mask.shape[:-1], 2, 3, 2).flatten(-3, -2)[..., None, None]
        expected = weight * mask / 0.7
        options = (0.3, granularity, True, num_examples, 2, 5)
        ours = torch.ops.bayesops.masked_weight(weight, seed, None, *options)
        torch.testing.assert_close(ours, expected)
        channels_last = torch.ops.bayesops.masked_weight(weight, seed, None, *options, True)
        assert torch.equal(channels_last, ours)
        assert channels_last.movedim(-3, -1).is_contiguous()
