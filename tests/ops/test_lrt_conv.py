"""What is peculiar to local reparameterisation: noise by output, what is kept for the gradient, zero variances."""

import pytest
import torch

import bayesops as bo
from bayesops.reference.lrt_conv import lrt_conv
from bayesops.reference.sampled_conv import convolve

SEEDS = torch.tensor([3, -8, 21])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
SHARINGS = pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample"])


def lrt(problem):
    return getattr(bo.ops, f"lrt_conv{problem.spatial}d" if problem.spatial else "lrt_linear")


def plain_convolution(problem, input, weight, bias):
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **problem.options}
    return convolve(input, weight, bias, **options)


def mostly_certain(sharing, dtype):
    """Arguments of `lrt_conv2d` under which most outputs have no variance, and a mask of those that have some."""
    lead = (3, 2) if sharing == "input-per-sample" else (2,)
    input = torch.zeros(*lead, 3, 7, 8, dtype=dtype)
    input[..., :3, :3] = torch.randn(*lead, 3, 3, 3).to(dtype)
    mu, bias = torch.randn(5, 3, 3, 3).to(dtype), torch.randn(5).to(dtype)
    var = torch.rand(5, 3, 3, 3).to(dtype)
    var[1:3] = 0
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    uncertain = torch.nn.functional.conv2d(input.reshape(-1, 3, 7, 8).double() ** 2, var.double(), padding=1) > 0
    return (input, mu, var, bias), seed, uncertain.unflatten(0, lead)


def test_replay(problem):
    """Noise belongs to the output, counted with the channels last: an output is its mean plus deviation times noise."""
    input, mu, bias_mu = problem.tensors(torch.float64)
    var, bias_var = torch.rand_like(mu), torch.rand_like(bias_mu)
    draws = lrt(problem)(input, mu, var, bias_mu, bias_var, seed=SEEDS, stream=6, **problem.options)
    mean = plain_convolution(problem, input, mu, bias_mu)
    deviation = plain_convolution(problem, input.square(), var, bias_var).sqrt()
    examples, channels, *space = mean.shape
    eps = bo.random.normal(SEEDS, (examples, *space, channels), stream=6).movedim(-1, 2)
    torch.testing.assert_close(draws, mean + deviation * eps)


@DTYPES
def test_no_variance_is_exactly_the_mean(problem, dtype, assert_as_exact_as_torch):
    input, mu, bias = problem.tensors(dtype)
    draws = lrt(problem)(input, mu, torch.zeros_like(mu), bias, torch.zeros_like(bias), seed=SEEDS, **problem.options)
    for draw in draws:
        assert torch.equal(draw, draws[0])
    plain = plain_convolution(problem, input, mu, bias)
    exact = plain_convolution(problem, input.double(), mu.double(), bias.double())
    assert_as_exact_as_torch(draws[0], plain, exact)


@DTYPES
@SHARINGS
def test_where_the_variance_is_zero(sharing, dtype):
    """Trap 6: at single outputs, too, the mean is exact and all gradients are finite, in every dtype."""
    tensors, seed, uncertain = mostly_certain(sharing, dtype)
    assert 0 < uncertain.sum() < uncertain.numel() / 2
    tensors = [t.requires_grad_() for t in tensors]
    output = bo.ops.lrt_conv2d(*tensors, seed=seed, padding=1)
    certain = bo.ops.lrt_conv2d(tensors[0], tensors[1], torch.zeros_like(tensors[2]), tensors[3], seed=seed, padding=1)
    uncertain = uncertain.expand_as(output)
    assert torch.equal(output[~uncertain], certain[~uncertain])
    assert (output != certain)[uncertain].double().mean() > 0.9  # the rest is noise below bfloat16's rounding
    for gradient in torch.autograd.grad(output.float().square().sum(), tensors):
        assert gradient.isfinite().all()


@SHARINGS
def test_variance_has_no_gradient_where_it_is_zero(sharing):
    """And where it is not, plain PyTorch's gradient, of first and second order."""
    tensors, seed, _ = mostly_certain(sharing, torch.float64)

    def derivatives(function):
        leaves = [t.clone().requires_grad_() for t in tensors]
        loss = function(*leaves, seed=seed, padding=1).square().sum()
        first = torch.autograd.grad(loss, leaves, create_graph=True)
        return *first, *torch.autograd.grad(sum(g.square().sum() for g in first), leaves)

    for ours, plain in zip(derivatives(bo.ops.lrt_conv2d), derivatives(lrt_conv), strict=True):
        assert plain.isfinite().all()
        torch.testing.assert_close(ours, plain)


def test_all_zero_input_trains():
    """Trap 6: the first layer of a network that is shown nothing."""
    tensors = [torch.zeros(2, 4), torch.randn(3, 4), torch.rand(3, 4)]
    output = bo.ops.lrt_linear(*[t.requires_grad_() for t in tensors], seed=SEEDS)
    output.sum().backward()
    assert torch.equal(output, torch.zeros_like(output))
    assert [t.grad.isfinite().all().item() for t in tensors] == [True] * 3


@pytest.mark.parametrize("lead", [(2,), (3, 2)], ids=["shared", "per-sample"])
def test_what_is_kept_for_the_gradient(lead):
    """The arguments and the standard deviation, which S draws of one input share; no noise, no mean."""
    input, mu, var, bias = torch.randn(*lead, 3, 7, 8), torch.randn(5, 3, 3, 3), torch.rand(5, 3, 3, 3), torch.randn(5)
    kept = []

    def keep(tensor):
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        bo.ops.lrt_conv2d(
            input.requires_grad_(), mu.requires_grad_(), var.requires_grad_(), bias, seed=SEEDS, padding=1
        )
    std = (*lead, 5, 7, 8)
    assert sorted(kept) == sorted([input.shape, mu.shape, var.shape, SEEDS.shape, std])


def test_standard_deviation_is_that_of_the_output(problem):
    input, mu, bias = problem.tensors(torch.float64)
    var, bias_var = torch.rand_like(mu), torch.rand_like(bias)
    args = (input, mu, var, bias, bias_var, SEEDS, 6, *problem.geometry())
    output, std = torch.ops.bayesops.lrt_conv_std(*args)
    torch.testing.assert_close(output, torch.ops.bayesops.lrt_conv(*args), rtol=0, atol=0)
    torch.testing.assert_close(std.square(), plain_convolution(problem, input.square(), var, bias_var))


@pytest.mark.cpu_only
@pytest.mark.parametrize("argument", ["weight_var", "bias_var"])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_negative_variance_is_refused(argument, requires_grad):
    arguments = {
        "input": torch.randn(2, 3, 5, 5), "weight_mu": torch.randn(4, 3, 3, 3), "weight_var": torch.rand(4, 3, 3, 3),
        "bias_mu": torch.randn(4), "bias_var": torch.rand(4),
    }  # fmt: skip
    arguments[argument].flatten()[2] = -1e-3
    arguments["weight_mu"].requires_grad_(requires_grad)
    with pytest.raises(RuntimeError, match=argument):
        bo.ops.lrt_conv2d(**arguments, seed=1)
