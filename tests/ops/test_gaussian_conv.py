"""Values of the Gaussian convolutions: what weight sampling, Flipout and local reparameterisation have in common."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesops as bo

SEEDS = torch.tensor([3, -8, 2**62 + 5])


def check(compare, estimator, problem, dtype, lead, seed, layout=None, **options):
    """Hold our operator against the reference in float64 and the reference in `dtype`; return our output."""
    input, *parameters = estimator.tensors(problem, dtype, lead)
    options = {"seed": seed, **problem.options, **options}
    ours = estimator.operator(problem)(
        input if layout is None else layout(input, problem.spatial), *parameters, **options
    )
    plain = estimator.reference(input, *parameters, **options)
    exact = estimator.reference(input.double(), *[p.double() for p in parameters], **options)
    compare(ours, plain, exact)
    return ours


@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample"])
def test_matches_reference(estimator, problem, sharing, layout, assert_as_exact_as_torch):
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    lead = (3, 2) if sharing == "input-per-sample" else (2,)
    check(assert_as_exact_as_torch, estimator, problem, torch.float32, lead, seed, layout, stream=7)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("lead", [(2,), (3, 2)], ids=["shared", "per-sample"])
def test_dtypes(estimator, problem, dtype, lead, layout, assert_as_exact_as_torch):
    check(assert_as_exact_as_torch, estimator, problem, dtype, lead, SEEDS, layout)


@pytest.mark.parametrize("given_bias", ["none", "mean", "mean-and-spread"])
@pytest.mark.parametrize("which", [0, ...], ids=["one-draw", "samples"])
def test_bias(estimator, problem, given_bias, which, assert_as_exact_as_torch):
    input, mu, spread, *bias = estimator.tensors(problem)
    bias = bias[: ["none", "mean", "mean-and-spread"].index(given_bias)]
    options = {"seed": SEEDS[which], **problem.options}
    ours = estimator.operator(problem)(input, mu, spread, *bias, **options)
    plain = estimator.reference(input, mu, spread, *bias, **options)
    exact = estimator.reference(*[t.double() for t in (input, mu, spread, *bias)], **options)
    assert_as_exact_as_torch(ours, plain, exact)


def test_weights_of_any_layout(estimator, problem, layout):
    """Noise goes by the weight's logical order, whatever its memory format."""
    input, mu, spread, *bias = estimator.tensors(problem)
    options = {"seed": SEEDS, **problem.options}
    laid_out = [layout(t, problem.spatial) for t in (mu, spread)]
    operator = estimator.operator(problem)
    expected = operator(input, mu, spread, *bias, **options)
    torch.testing.assert_close(operator(input, *laid_out, *bias, **options), expected)


@pytest.mark.parametrize("estimator", ["sampled", "flipout"], indirect=True)
@pytest.mark.parametrize("shape", ["one", "per-output", "full"])
def test_variance_by_alpha(estimator, problem, shape, assert_as_exact_as_torch):
    """``alpha * mu**2`` by the logarithm of alpha, of any shape that broadcasts to the weight's."""
    input, mu, _, *bias = estimator.tensors(problem)
    shape = {"one": (), "per-output": (len(mu), *[1] * (mu.dim() - 1)), "full": mu.shape}[shape]
    alpha, options = torch.randn(shape) - 1, {"seed": SEEDS, **problem.options}
    ours = estimator.operator(problem)(input, mu, None, *bias, weight_log_alpha=alpha, **options)
    plain = estimator.reference(input, mu, None, *bias, weight_log_alpha=alpha, **options)
    exact = estimator.reference(
        input.double(), mu.double(), None, *[b.double() for b in bias], weight_log_alpha=alpha.double(), **options
    )
    assert_as_exact_as_torch(ours, plain, exact)


def test_samples_are_single_draws(estimator, problem):
    """S seeds at once give the draws of each seed by itself."""
    tensors = estimator.tensors(problem)
    operator = estimator.operator(problem)
    together = operator(*tensors, seed=SEEDS, stream=5, **problem.options)
    for seed, sample in zip(SEEDS, together, strict=True):
        torch.testing.assert_close(sample, operator(*tensors, seed=seed, stream=5, **problem.options))


def test_a_draw_is_the_callers_choice(estimator, problem):
    """Trap 9: a seed and a stream fix the draw; another seed, another stream or another sample is another draw."""
    tensors = estimator.tensors(problem)
    operator = estimator.operator(problem)
    first = operator(*tensors, seed=4, **problem.options)
    assert torch.equal(operator(*tensors, seed=4, **problem.options), first)
    assert not torch.equal(operator(*tensors, seed=5, **problem.options), first)
    assert not torch.equal(operator(*tensors, seed=4, stream=1, **problem.options), first)
    samples = operator(*tensors, seed=SEEDS, **problem.options)
    assert samples.unique(dim=0).shape == samples.shape


def test_operators_leave_torchs_generator_alone(estimator, problem, generator_state):
    tensors = estimator.tensors(problem)
    before = generator_state()
    estimator.operator(problem)(*tensors, seed=4, **problem.options)
    assert torch.equal(generator_state(), before)


def test_output_layout_follows_the_input(estimator, problem, layout):
    input, *parameters = estimator.tensors(problem, lead=(2,))
    laid_out = layout(input, problem.spatial)
    output = estimator.operator(problem)(laid_out, *parameters, seed=SEEDS, **problem.options)
    if problem.spatial and laid_out.stride(1) == 1 and laid_out.shape[1] > 1 and laid_out[0, 0].numel() > 1:
        assert output.movedim(2, -1).is_contiguous()
    else:
        assert output.is_contiguous()


def test_linear_takes_leading_dimensions(estimator):
    input, parameters = torch.randn(2, 4, 5, 7), [torch.randn(3, 7), torch.rand(3, 7), torch.randn(3), torch.rand(3)]
    linear = getattr(bo.ops, f"{estimator.name}_linear")
    flat = linear(input.reshape(-1, 7), *parameters, seed=5)
    assert torch.equal(linear(input, *parameters, seed=5), flat.reshape(2, 4, 5, 3))
    torch.testing.assert_close(linear(input[0, 0, 0], *parameters, seed=5), flat[0])
    samples = linear(input, *parameters, seed=SEEDS[:2])  # the first dimension is the sample
    assert samples.shape == (2, 4, 5, 3)
    torch.testing.assert_close(samples[1], linear(input[1], *parameters, seed=SEEDS[1]))


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


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    convolutions(), st.sampled_from([(), (3,), (3, 0)]), st.integers(1, 3), st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_any_shape(estimator, shapes, samples, examples, seed, stream):
    image, weight_shape, options = shapes
    input = torch.randn(*samples[:1] * len(samples[1:]), examples, *image, dtype=torch.float64)
    mu, spread = torch.randn(weight_shape, dtype=torch.float64), torch.rand(weight_shape, dtype=torch.float64)
    bias = torch.randn(weight_shape[0], dtype=torch.float64), torch.rand(weight_shape[0], dtype=torch.float64)
    seeds = torch.tensor(seed) if not samples else bo.random.sample_seeds(seed, samples[0], device=input.device)
    options |= {"seed": seeds, "stream": stream}
    operator = getattr(bo.ops, f"{estimator.name}_conv{len(image) - 1}d")
    expected = estimator.reference(input, mu, spread, *bias, **options)
    torch.testing.assert_close(operator(input, mu, spread, *bias, **options), expected)
