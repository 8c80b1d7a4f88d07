"""Convolutions in bfloat16, whose channels newer processors multiply in pairs.

Sums of small whole numbers are exact in whatever order they are formed: they must be those of float32 to the bit, so
that no term is missing, met twice, or met by a neighbour's weight.
"""

import math

import pytest
import torch

import bayesops as bo
from bayesops import ops
from bayesops.ops.fused import Epilogue, masked_conv_fused

SEEDS = torch.tensor([3, -8, 2**62 + 5])
GRANULARITIES = ("weight", "kernel", "in_channel", "out_channel", "channel")

# Images [I, *] and weights [O, I / groups, *]: channels that can be paired both ways, one way, and not at all.
PROBLEMS = {
    "both ways": ((6, 9, 11), (10, 6, 3, 3), {"padding": 1}),
    "forward": ((24, 7, 8), (33, 24, 3, 2), {"stride": (2, 1)}),
    "backward": ((5, 9, 7), (36, 5, 3, 3), {"padding": 2, "dilation": 2}),
    "not at all": ((7, 6, 5), (9, 7, 2, 2), {}),
    "groups": ((12, 8, 9), (18, 4, 3, 3), {"groups": 3, "padding": 1, "stride": (1, 2)}),
    "odd groups": ((9, 8, 9), (15, 3, 3, 3), {"groups": 3}),
    "read in place": ((66, 5, 6), (70, 66, 1, 1), {}),
    "patches": ((4, 8, 12), (6, 4, 4, 4), {"stride": 4}),
    "blocks": ((64, 12, 13), (96, 64, 3, 3), {"padding": 1}),
    "one pixel": ((26, 3, 3), (18, 26, 3, 3), {}),
    "linear": ((40,), (22, 40), {}),
    "1d": ((8, 50), (34, 8, 5), {"padding": "same"}),
    "3d": ((2, 4, 5, 6), (4, 2, 2, 3, 2), {"stride": (1, 2, 1), "padding": 1}),
}


@pytest.fixture(params=PROBLEMS, ids=str)
def problem(request):
    return PROBLEMS[request.param]


def whole(*shape, low=-4, high=5):
    return torch.randint(low, high, shape).float()


def operator(family, weight):
    spatial = weight.dim() - 2
    return getattr(ops, f"{family}_conv{spatial}d" if spatial else f"{family}_linear")


def assert_the_same(convolve, input, *parameters):
    """Hold results and the input's gradients in bfloat16 against float32's, rounded once."""
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        x = input.to(dtype, copy=True, memory_format=torch.preserve_format).requires_grad_()
        output = convolve(x, *(t.to(dtype) for t in parameters))
        cotangent = (torch.arange(output.numel()).view(output.shape) % 5 - 2).to(dtype)
        (gradient,) = torch.autograd.grad(output, x, cotangent)
        results.append((output.detach(), gradient))
    for wide, narrow in zip(*results, strict=True):
        assert narrow.dtype == torch.bfloat16
        assert torch.equal(narrow, wide.bfloat16())


@pytest.mark.cpu_only
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("sharing", ["one-draw", "per-example", "input-per-sample"])
def test_masks(problem, sharing, granularity, layout):
    image, shape, options = problem
    weight, bias = whole(*shape), whole(shape[0])
    images = whole(*((3, 2) if sharing == "input-per-sample" else (2,)), *image)
    options = options | {"p": 0.5, "granularity": granularity, "per_example": sharing == "per-example"}
    options["seed"] = SEEDS if sharing == "input-per-sample" else SEEDS[0]
    masked = operator("masked", weight)
    assert_the_same(lambda x, w, b: masked(x, w, b, **options), layout(images, len(shape) - 2), weight, bias)


@pytest.mark.cpu_only
@pytest.mark.parametrize("seed", [SEEDS[0], SEEDS], ids=["one", "several"])
def test_local_reparameterisation(problem, seed, layout):
    """Squares of these inputs and sums of these variances are exact, too, and so what is drawn from them is the same.

    Gradients are not: they divide by a standard deviation, which is rounded.
    """
    image, shape, options = problem
    mu, variance = whole(*shape), whole(*shape, low=0)
    x, lrt = layout(whole(2, *image), len(shape) - 2), operator("lrt", mu)
    wide = lrt(x, mu, variance, seed=seed, **options)
    narrow = lrt(x.bfloat16(), mu.bfloat16(), variance.bfloat16(), seed=seed, **options)
    assert torch.equal(narrow, wide.bfloat16())


@pytest.mark.cpu_only
def test_a_negative_variance_is_found_in_either_half_of_a_pair():
    x, mu = whole(2, 6, 5, 5).bfloat16(), whole(7, 6, 3, 3).bfloat16()
    for channel in (0, 5):
        variance = torch.ones_like(mu)
        variance[6, channel, 2, 1] = -1
        with pytest.raises(RuntimeError, match="weight_var must not be negative"):
            ops.lrt_conv2d(x, mu, variance, seed=0)
        variance[6, channel, 2, 1] = -0.0
        ops.lrt_conv2d(x, mu, variance, seed=0)


@pytest.mark.cpu_only
@pytest.mark.parametrize("family", ["sampled", "flipout"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_not_finite_stays_where_it_is(family, value):
    """Seen by the results that it has a part in, and by no others."""
    x, mu = whole(2, 6, 9, 9, low=1), whole(34, 6, 3, 3, low=1)
    x[1, 3, 4, 4] = value
    output = operator(family, mu)(x.bfloat16(), mu.bfloat16(), torch.full_like(mu, -3).bfloat16(), seed=SEEDS)
    met = torch.zeros(3, 2, 34, 7, 7, dtype=torch.bool)
    met[:, 1, :, 2:5, 2:5] = True
    assert torch.equal(~output.isfinite(), met)


@pytest.mark.cpu_only
def test_drawn_weights(layout):
    """Each by itself: an image that is one at one place of one channel shows the weights, rounded."""
    mu, rho = torch.randn(34, 6, 3, 3).bfloat16(), torch.full((34, 6, 3, 3), -1.0).bfloat16()
    sigma = torch.nn.functional.softplus(rho).float()
    drawn = (mu.float() + sigma * bo.random.normal(SEEDS, mu.shape, stream=2)).bfloat16()
    for channel in range(6):
        x = torch.zeros(1, 6, 5, 5, dtype=torch.bfloat16)
        x[0, channel, 2, 2] = 1
        output = ops.sampled_conv2d(layout(x, 2), mu, rho, seed=SEEDS, stream=2)
        assert torch.equal(output[:, 0].flip(-2, -1), drawn[:, :, channel])


@pytest.mark.cpu_only
def test_epilogue(layout):
    x, w = whole(3, 2, 6, 8, 7), whole(36, 6, 3, 3)
    scale, shift, residual = whole(36), whole(36), layout(whole(3, 2, 36, 6, 5), 2)

    def convolve(dtype):
        epilogue = Epilogue(scale.to(dtype), shift.to(dtype), residual.to(dtype), True)
        return masked_conv_fused(layout(x.to(dtype), 2), w.to(dtype), epilogue=epilogue, p=0.5, seed=SEEDS)

    assert torch.equal(convolve(torch.bfloat16), convolve(torch.float32).bfloat16())
