"""What is peculiar to weight sampling: a draw is a plain convolution with a weight that can be drawn again."""

import torch

import bayesops as bo
from bayesops.reference.sampled_conv import convolve

SEEDS = torch.tensor([3, -8, 21])


def sampled(problem):
    return getattr(bo.ops, f"sampled_conv{problem.spatial}d" if problem.spatial else "sampled_linear")


def plain_convolution(problem, input, weight, bias):
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **problem.options}
    return convolve(input, weight, bias, **options)


def test_replay(problem):
    """All examples see one weight and one bias: the ones that `bayesops.random` shows."""
    input, mu, bias_mu = problem.tensors(torch.float64)
    rho, bias_rho = torch.randn_like(mu), torch.randn_like(bias_mu)
    draws = sampled(problem)(input, mu, rho, bias_mu, bias_rho, seed=SEEDS, stream=6, **problem.options)
    eps = bo.random.normal(SEEDS, mu.shape, stream=6)
    bias_eps = bo.random.normal(SEEDS, bias_mu.shape, stream=6 + 2**31)
    for s in range(len(SEEDS)):
        weight = mu + torch.nn.functional.softplus(rho) * eps[s]
        bias = bias_mu + torch.nn.functional.softplus(bias_rho) * bias_eps[s]
        torch.testing.assert_close(draws[s], plain_convolution(problem, input, weight, bias))


def test_weight_and_bias_share_no_draw():
    """A weight and a bias of the same length, both standard normal: equal draws would give a sum of twice the bias."""
    length = 4000
    zeros, rho = torch.zeros(length, 1), torch.full((length, 1), 0.5413248546)  # softplus(rho) = 1
    weight, bias = (
        bo.ops.sampled_linear(x, zeros, rho, zeros[:, 0], rho[:, 0] - 1000 * skip, seed=1)[0]
        for x, skip in ((torch.ones(1, 1), 1), (torch.zeros(1, 1), 0))
    )
    correlation = torch.corrcoef(torch.stack([weight, bias]))[0, 1].item()
    assert abs(correlation) < 5 / length**0.5  # false alarm: 6e-7


def test_no_spread_is_a_plain_convolution(problem, assert_as_exact_as_torch):
    input, mu, bias = problem.tensors()
    rho = torch.full_like(mu, -1000.0)
    ours = sampled(problem)(input, mu, rho, bias, rho.flatten()[:1].expand_as(bias), seed=1, **problem.options)
    exact = plain_convolution(problem, input.double(), mu.double(), bias.double())
    assert_as_exact_as_torch(ours, plain_convolution(problem, input, mu, bias), exact)


def test_large_rho_does_not_overflow():
    """Trap 5: ``log(1 + exp(rho))`` is infinite past 88 in float32."""
    input, mu = torch.ones(1, 1), torch.zeros(1, 1)
    output = bo.ops.sampled_linear(input, mu, torch.full((1, 1), 200.0), seed=3)
    torch.testing.assert_close(output, 200 * bo.random.normal(3, (1, 1), device=mu.device))
