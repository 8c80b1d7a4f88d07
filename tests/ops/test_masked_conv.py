"""Values of the masked convolution: every argument against the reference in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesops as bo
from bayesops.reference.masked_conv import mask_shape, masked_conv

SEEDS = torch.tensor([3, -8, 2**62 + 5])
GRANULARITIES = ("weight", "kernel", "in_channel", "out_channel", "channel")


def check(compare, problem, dtype, lead, seed, layout=None, bias=True, **options):
    """Hold our operator against the reference in float64 and the reference in `dtype`; return our output."""
    input, weight, b = problem.tensors(dtype, lead)
    b = b if bias else None
    options = {"p": 0.3, "seed": seed, **problem.options, **options}
    ours = problem.operator(input if layout is None else layout(input, problem.spatial), weight, b, **options)
    plain = masked_conv(input, weight, b, **options)
    exact = masked_conv(input.double(), weight.double(), None if b is None else b.double(), **options)
    compare(ours, plain, exact)
    return ours


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample"])
def test_matches_reference(problem, sharing, granularity, per_example, layout, assert_as_exact_as_torch):
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    lead = (3, 2) if sharing == "input-per-sample" else (2,)
    check(
        assert_as_exact_as_torch, problem, torch.float32, lead, seed, layout, granularity=granularity,
        per_example=per_example, stream=7,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("lead", [(2,), (3, 2)], ids=["shared", "per-sample"])
def test_dtypes(problem, dtype, granularity, lead, layout, assert_as_exact_as_torch):
    check(assert_as_exact_as_torch, problem, dtype, lead, SEEDS, layout, granularity=granularity)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("p", [0.0, 1e-3, 0.9])
def test_rescale_bias_and_p(problem, p, bias, rescale, assert_as_exact_as_torch):
    check(assert_as_exact_as_torch, problem, torch.float32, (2,), SEEDS, bias=bias, p=p, rescale=rescale)


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("sample_axis", [False, True])
@pytest.mark.parametrize("with_seed", [False, True])
def test_given_mask(problem, granularity, per_example, sample_axis, with_seed, assert_as_exact_as_torch):
    base = mask_shape(torch.empty(problem.weight), granularity, problem.options.get("groups", 1))
    shape = (*([3] if sample_axis else []), *([2] if per_example else []), *base)
    mask = torch.rand(shape) < 0.6
    input, weight, bias = problem.tensors(lead=(2,))
    options = {"p": 0.4, "granularity": granularity, "per_example": per_example, **problem.options}
    scalar_or_samples = SEEDS if sample_axis else torch.tensor(0)
    ours = problem.operator(input, weight, bias, mask=mask, seed=scalar_or_samples if with_seed else None, **options)
    plain = masked_conv(input, weight, bias, mask=mask, seed=scalar_or_samples, **options)
    exact = masked_conv(input.double(), weight.double(), bias.double(), mask=mask, seed=scalar_or_samples, **options)
    assert_as_exact_as_torch(ours, plain, exact)


def test_one_mask_for_all_samples(problem):
    input, weight, bias = problem.tensors(lead=(2,))
    mask = torch.rand(problem.weight) < 0.6
    once = problem.operator(input, weight, bias, p=0.4, seed=None, mask=mask, **problem.options)
    thrice = problem.operator(input, weight, bias, p=0.4, seed=SEEDS, mask=mask, **problem.options)
    for sample in thrice:
        torch.testing.assert_close(sample, once)


def test_replay_of_a_drawn_mask(problem):
    """A draw is the product with the mask that `bayesops.random` shows for the same seed and stream."""
    input, weight, bias = problem.tensors(lead=(2,))
    options = {"p": 0.25, "stream": 3, **problem.options}
    drawn = problem.operator(input, weight, bias, seed=SEEDS, **options)
    mask = bo.random.bernoulli_mask(SEEDS, problem.weight, 0.25, stream=3)
    assert torch.equal(drawn, problem.operator(input, weight, bias, seed=None, mask=mask, **options))


def test_p_zero_is_a_plain_convolution(problem, assert_as_exact_as_torch):
    input, weight, bias = problem.tensors(lead=(2,))
    ours = problem.operator(input, weight, bias, p=0.0, seed=1, **problem.options)
    ones = torch.ones(problem.weight, dtype=torch.bool)
    plain = masked_conv(input, weight, bias, p=0.0, seed=0, mask=ones, **problem.options)
    exact = masked_conv(input.double(), weight.double(), bias.double(), p=0.0, seed=0, mask=ones, **problem.options)
    assert_as_exact_as_torch(ours, plain, exact)


def test_output_layout_follows_the_input(problem, layout):
    input, weight, bias = problem.tensors(lead=(2,))
    laid_out = layout(input, problem.spatial)
    output = problem.operator(laid_out, weight, bias, p=0.3, seed=SEEDS, **problem.options)
    channel = output.dim() - problem.spatial - 1
    if laid_out.dim() > 2 and laid_out.stride(1) == 1 and laid_out.shape[1] > 1 and laid_out[0, 0].numel() > 1:
        assert output.movedim(channel, -1).is_contiguous()
    else:
        assert output.is_contiguous()


@pytest.mark.parametrize("lead", [(0,), (0, 2), (3, 0)], ids=str)
@pytest.mark.parametrize("per_example", [False, True])
def test_no_examples_or_no_samples(problem, lead, per_example):
    input, weight, bias = problem.tensors(lead=lead)
    input.requires_grad_()
    weight.requires_grad_()
    seed = SEEDS[: lead[0]] if len(lead) == 2 else SEEDS
    output = problem.operator(input, weight, bias, p=0.3, seed=seed, per_example=per_example, **problem.options)
    assert output.shape[:2] == (len(seed), lead[-1])
    output.sum().backward()
    assert input.grad.shape == input.shape
    assert torch.equal(weight.grad, torch.zeros_like(weight))


def test_no_samples_of_a_shared_input(problem):
    input, weight, bias = problem.tensors(lead=(2,))
    assert problem.operator(input, weight, bias, p=0.3, seed=SEEDS[:0], **problem.options).shape[:2] == (0, 2)


def test_linear_takes_leading_dimensions():
    input, weight = torch.randn(2, 4, 5, 7), torch.randn(3, 7)
    flat = bo.ops.masked_linear(input.reshape(-1, 7), weight, p=0.2, seed=5)
    assert torch.equal(bo.ops.masked_linear(input, weight, p=0.2, seed=5), flat.reshape(2, 4, 5, 3))
    one = bo.ops.masked_linear(input[0, 0, 0], weight, p=0.2, seed=5)
    torch.testing.assert_close(one, flat[0])
    samples = bo.ops.masked_linear(input, weight, p=0.2, seed=SEEDS[:2])  # the first dimension is the sample
    torch.testing.assert_close(samples[1], bo.ops.masked_linear(input[1], weight, p=0.2, seed=SEEDS[1]))


def test_operators_leave_torchs_generator_alone(problem, generator_state):
    input, weight, bias = problem.tensors(lead=(2,))
    before = generator_state()
    first = problem.operator(input, weight, bias, p=0.3, seed=4, **problem.options)
    assert torch.equal(generator_state(), before)
    assert torch.equal(problem.operator(input, weight, bias, p=0.3, seed=4, **problem.options), first)


@st.composite
def convolutions(draw):
    """Sizes, strides, paddings and dilations that fit together."""
    dims = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    per_dim = st.tuples(*[st.integers(1, 3)] * dims)
    kernel, stride, dilation = draw(per_dim), draw(per_dim), draw(per_dim)
    padding = draw(st.tuples(*[st.integers(0, 2)] * dims))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    size = [max(1, r - 2 * q + draw(st.integers(0, 5))) for r, q in zip(reach, padding, strict=True)]
    in_per_group, out_per_group = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (in_per_group * groups, *size), (out_per_group * groups, in_per_group, *kernel), options


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    convolutions(), st.sampled_from(GRANULARITIES), st.booleans(), st.sampled_from([(), (3,), (3, 0)]),
    st.integers(1, 3), st.floats(0, 0.99), st.integers(-(2**63), 2**63 - 1),
)  # fmt: skip
def test_any_shape(shapes, granularity, per_example, samples, examples, p, seed):
    image, weight_shape, options = shapes
    input = torch.randn(*samples[:1] * len(samples[1:]), examples, *image, dtype=torch.float64)
    weight = torch.randn(weight_shape, dtype=torch.float64)
    seeds = torch.tensor(seed) if not samples else bo.random.sample_seeds(seed, samples[0], device=input.device)
    options |= {"p": p, "seed": seeds, "granularity": granularity, "per_example": per_example}
    operator = (bo.ops.masked_conv1d, bo.ops.masked_conv2d, bo.ops.masked_conv3d)[len(image) - 2]
    torch.testing.assert_close(operator(input, weight, **options), masked_conv(input, weight, **options))
