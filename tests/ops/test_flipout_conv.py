"""What is peculiar to Flipout: signs by example and channel, the same for all pixels, on the deviation only."""

import pytest
import torch

import bayesops as bo
from bayesops.reference.sampled_conv import convolve

SEEDS = torch.tensor([3, -8, 21])


def flipout(problem):
    return getattr(bo.ops, f"flipout_conv{problem.spatial}d" if problem.spatial else "flipout_linear")


def plain_convolution(problem, input, weight, bias):
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **problem.options}
    return convolve(input, weight, bias, **options)


def test_each_example_has_a_weight_of_its_own(problem):
    """Example n sees ``mu + s_out * sigma * eps * s_in``, with its row of the signs that `bayesops.random` shows."""
    input, mu, bias = problem.tensors(torch.float64)
    rho = torch.randn_like(mu)
    draw = flipout(problem)(input, mu, rho, bias, seed=5, stream=6, **problem.options)
    deviation = torch.nn.functional.softplus(rho) * bo.random.normal(5, mu.shape, stream=6, device=mu.device)
    outputs, in_per_group = mu.shape[:2]
    groups = problem.options.get("groups", 1)
    signs = bo.random.signs(5, (len(input), in_per_group * groups + outputs), stream=6, device=mu.device).double()
    for n, image in enumerate(input):
        s_in, s_out = signs[n, :-outputs].view(groups, 1, in_per_group), signs[n, -outputs:].view(groups, -1, 1)
        both = (s_in * s_out).reshape(outputs, in_per_group, *[1] * problem.spatial)
        expected = plain_convolution(problem, image[None], mu + both * deviation, bias)
        torch.testing.assert_close(draw[n : n + 1], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_no_spread_is_exactly_the_plain_convolution(problem, dtype, assert_as_exact_as_torch):
    """Trap 2: only the deviation is turned by signs, never the mean."""
    input, mu, bias = problem.tensors(dtype)
    rho = torch.full_like(mu, -1000.0)
    draws = flipout(problem)(input, mu, rho, bias, seed=SEEDS, **problem.options)
    for draw in draws:
        assert torch.equal(draw, draws[0])
    plain = plain_convolution(problem, input, mu, bias)
    exact = plain_convolution(problem, input.double(), mu.double(), bias.double())
    assert_as_exact_as_torch(draws[0], plain, exact)


def test_signs_are_constant_over_pixels():
    """Trap 2: a flat image has a flat output, as under one drawn weight; examples differ in sign alone."""
    input, mu, rho = torch.ones(16, 1, 5, 6), torch.zeros(7, 1, 1, 1), torch.zeros(7, 1, 1, 1)
    output = bo.ops.flipout_conv2d(input, mu, rho, seed=2)
    torch.testing.assert_close(output, output[:, :, :1, :1].expand_as(output), rtol=0, atol=0)
    assert torch.equal(output.abs(), output[:1].abs().expand_as(output))
    assert (output[:, :, 0, 0] > 0).any(0).all()  # false alarm: 7 * 2**-15
    assert (output[:, :, 0, 0] < 0).any(0).all()
