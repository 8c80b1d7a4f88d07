"""Gradients of the masked convolution, of first and second order."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import bayesops as bo
from bayesops.reference.masked_conv import masked_conv

SEEDS = torch.tensor([3, -8])
GRANULARITIES = ("weight", "kernel", "in_channel", "out_channel", "channel")


def gradients(operator, tensors, cotangent, **options):
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    operator(*leaves, **options).backward(cotangent.to(leaves[0].dtype))
    return [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample"])
def test_match_reference(problem, sharing, granularity, per_example, layout, assert_as_exact_as_torch):
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    input, weight, bias = problem.tensors(lead=(2, 3) if sharing == "input-per-sample" else (3,))
    input = layout(input, problem.spatial)
    options = {"p": 0.3, "seed": seed, "granularity": granularity, "per_example": per_example, **problem.options}
    cotangent = torch.randn_like(problem.operator(input, weight, bias, **options))
    tensors = (input, weight, bias)
    ours = gradients(problem.operator, tensors, cotangent, **options)
    plain = gradients(masked_conv, tensors, cotangent, **options)
    exact = gradients(masked_conv, [t.double() for t in tensors], cotangent, **options)
    for triple in zip(ours, plain, exact, strict=True):
        assert_as_exact_as_torch(*triple)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_dtypes(problem, dtype, assert_as_exact_as_torch):
    tensors = problem.tensors(dtype)
    options = {"p": 0.3, "seed": SEEDS, **problem.options}
    cotangent = torch.randn_like(problem.operator(*tensors, **options))
    ours = gradients(problem.operator, tensors, cotangent, **options)
    plain = gradients(masked_conv, tensors, cotangent, **options)
    exact = gradients(masked_conv, [t.double() for t in tensors], cotangent, **options)
    for triple in zip(ours, plain, exact, strict=True):
        assert_as_exact_as_torch(*triple)


@pytest.mark.parametrize("lead", [(3,), (2, 3)], ids=["shared", "per-sample"])
def test_layouts_of_gradients(problem, lead, layout):
    """The input's gradient follows the incoming gradient's layout, unless summed; the weight's is contiguous."""
    input, weight, bias = (t.requires_grad_() for t in problem.tensors(lead=lead))
    output = problem.operator(input, weight, bias, p=0.3, seed=SEEDS, **problem.options)
    cotangent = layout(torch.randn_like(output), problem.spatial)
    grad_input, grad_weight = torch.autograd.grad(output, (input, weight), cotangent)
    channels_last = cotangent.stride(2) == 1 and cotangent.shape[2] > 1 and cotangent[0, 0, 0].numel() > 1
    if len(lead) == 2 and channels_last and problem.spatial:
        assert grad_input.movedim(2, -1).is_contiguous()
    else:
        assert grad_input.is_contiguous()
    assert grad_weight.is_contiguous()


@pytest.mark.parametrize("given", [False, True], ids=["drawn", "given"])
@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample"])
@pytest.mark.parametrize("name", ["linear", "1d", "2d", "2d-groups", "3d"])
def test_gradcheck_and_gradgradcheck(name, sharing, per_example, given, device):
    image, weight_shape, options = {
        "linear": ((3,), (2, 3), {}),
        "1d": ((2, 5), (3, 2, 2), {"padding": "same", "dilation": 2}),
        "2d": ((2, 4, 3), (2, 2, 3, 2), {"padding": (1, 0), "stride": (2, 1)}),
        "2d-groups": ((4, 3, 3), (2, 2, 2, 2), {"groups": 2, "granularity": "in_channel"}),
        "3d": ((1, 3, 2, 2), (2, 1, 2, 1, 2), {"granularity": "kernel"}),
    }[name]
    operator = getattr(bo.ops, "masked_linear" if name == "linear" else f"masked_conv{len(image) - 1}d")
    lead = (2, 2) if sharing == "input-per-sample" else (2,)
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    mask = None
    if given and options.get("granularity", "weight") == "weight":
        mask = torch.rand(*seed.shape, *([2] if per_example else []), *weight_shape) < 0.6
    input = torch.randn(*lead, *image, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(weight_shape, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(weight_shape[0], dtype=torch.float64, requires_grad=True)

    def function(*tensors):
        return operator(*tensors, p=0.3, seed=seed, mask=mask, per_example=per_example, **options)

    fast = device == "cuda"  # along random directions: element by element takes thousands of small launches
    assert torch.autograd.gradcheck(function, (input, weight, bias), fast_mode=fast)
    assert torch.autograd.gradgradcheck(function, (input, weight, bias), fast_mode=fast)


def test_only_what_is_wanted_is_computed(problem):
    """A frozen weight or an input without gradient gets none."""
    input, weight, bias = problem.tensors()
    output = problem.operator(input, weight.requires_grad_(), bias, p=0.3, seed=1, **problem.options)
    output.sum().backward()
    assert input.grad is None
    assert bias.grad is None
    assert weight.grad is not None


def test_samples_average(problem):
    """Trap 1: the gradient over T samples is the sum of single-sample gradients at the same seeds."""
    input, weight, bias = problem.tensors(torch.float64)
    options = {"p": 0.3, **problem.options}
    cotangent = torch.randn_like(problem.operator(input, weight, bias, seed=SEEDS, **options))
    together = gradients(problem.operator, (input, weight, bias), cotangent, seed=SEEDS, **options)
    single = [
        gradients(problem.operator, (input, weight, bias), c, seed=s, **options)
        for s, c in zip(SEEDS, cotangent, strict=True)
    ]
    for ours, parts in zip(together, zip(*single, strict=True), strict=True):
        torch.testing.assert_close(ours, sum(parts))


def test_checkpointing_replays_the_mask():
    layer = bo.nn.BernoulliConv2d(3, 4, 3, dtype=torch.float64)
    input = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    grads = []
    for run in (layer, lambda x: checkpoint(layer, x, use_reentrant=False)):
        torch.manual_seed(11)
        output = run(input).square().sum()
        torch.rand(5)  # moves the generator on between forward and backward
        grads.append(torch.autograd.grad(output, (input, layer.weight)))
    for plain, checkpointed in zip(*grads, strict=True):
        assert torch.equal(plain, checkpointed)
