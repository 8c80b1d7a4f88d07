"""Sums of the gradients of all samples' weights: the same bits as PyTorch's operations, one sample after another.

Of many samples a small weight is summed in pieces (csrc/kernels/flat/pieces.h), which are then summed.

The operators run on the CPU, too: there they are the functors of csrc/kernels/flat, one index after another, with the
arguments that CUDA's threads have. A GPU runs the same tests.
"""

import math

import pytest
import torch

native = torch.ops.bayesops
SEEDS = torch.tensor([3, -8, 2**62 + 5])
STREAM = 2**32 - 3
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
# Weights of more and fewer elements than a Philox block has, and that end within one; groups.
WEIGHTS = {
    "linear": ((19, 37), 1),
    "linear-one": ((1, 1), 1),
    "2d": ((8, 2, 3, 3), 1),
    "2d-groups": ((9, 4, 3, 2), 3),
    "2d-in-fours": ((4, 8, 3, 3), 1),  # what tiles of four channels are made for
    "2d-odd": ((3, 9, 3, 3), 1),
    "3d": ((4, 3, 3, 1, 3), 2),
    "3d-many-taps": ((2, 5, 3, 3, 3), 1),
}


@pytest.fixture(params=[SEEDS[0], SEEDS], ids=["one-draw", "seeds"])
def seed(request):
    return request.param


@pytest.fixture(params=WEIGHTS, ids=str)
def weight(request):
    return WEIGHTS[request.param]


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request):
    return request.param


def in_order(terms, size, dtype, run):
    """The sum of ``[..., *size]``, one term after another in the computing type, which is theirs, piece by piece.

    A thread of the operator takes `run` neighbours.
    """

    def total(terms):
        total = torch.zeros(size, dtype=terms.dtype)
        for term in terms:
            total = total + term
        return total

    terms = terms.reshape(-1, *size)
    runs = -(-math.prod(size) // run)
    draws_a_piece = max(8, -(-len(terms) * runs // 2**16), math.isqrt(max(0, len(terms) - 1)) + 1)
    pieces = [total(piece) for piece in terms.split(draws_a_piece)]
    return (pieces[0] if len(pieces) == 1 else total(torch.stack(pieces))).to(dtype)


def computing(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def lay_out(gradients, lead, channels_last):
    """Gradients ``[*lead, O, I, *]``, contiguous, or with channels last in each weight."""
    channel = len(lead) + 1
    return gradients.movedim(channel, -1).contiguous().movedim(-1, channel) if channels_last else gradients


@pytest.mark.parametrize("channels_last", [False, True])
def test_gaussian(run_there, seed, weight, dtype, channels_last):
    size, _ = weight
    gradients = lay_out(torch.randn(*seed.shape, *size).to(dtype), seed.shape, channels_last)
    noise = native.random_normal(seed, size, STREAM).to(computing(gradients).dtype)
    mu, sigma = run_there(native.gaussian_weight_grad, gradients, seed, STREAM)
    assert torch.equal(mu, in_order(computing(gradients), size, dtype, 4))
    assert torch.equal(sigma, in_order(computing(gradients) * noise, size, dtype, 4))
    assert mu.is_contiguous()
    assert sigma.is_contiguous()


@pytest.mark.parametrize("given", ["drawn", "given", "given-for-all"])
@pytest.mark.parametrize("examples", [0, 3])
@pytest.mark.parametrize("granularity", range(5))
@pytest.mark.parametrize("channels_last", [False, True])
def test_masked(run_there, mask_shape, masked_weight, seed, weight, dtype, channels_last, granularity, examples, given):
    size, groups = weight
    lead = [*seed.shape, *([examples] if examples else [])]
    gradients = lay_out(torch.randn(*lead, *size).to(dtype), lead, channels_last)
    p, mask = 0.3, None
    if given != "drawn":
        base = mask_shape(granularity, size, groups)
        mask = torch.rand(*(lead if given == "given" else lead[seed.dim() :]), *base) < 0.6
    options = (p, granularity, False, examples, groups, STREAM)
    ones = torch.ones(size, dtype=computing(gradients).dtype)
    total = in_order(computing(gradients) * masked_weight(ones, seed, mask, *options), size, ones.dtype, 16)
    for rescale in (False, True):
        scale = 1 / (1 - p) ** (2 if granularity == 4 else 1) if rescale else 1.0
        options = (p, granularity, rescale, examples, groups, STREAM)
        ours = run_there(native.masked_weight_grad, gradients, seed, mask, *options)
        assert torch.equal(ours, (total * torch.tensor(scale, dtype=ones.dtype)).to(dtype))
        assert ours.is_contiguous()


@pytest.mark.parametrize("samples", [8, 9, 16, 64, 70, 100, 300])
@pytest.mark.parametrize("channels_last", [False, True])
def test_many_samples(run_there, masked_weight, samples, dtype, channels_last):
    seed, size = torch.arange(samples) * 2**40 - 7, (5, 3, 2, 3)
    gradients = lay_out(torch.randn(samples, *size).to(dtype), (samples,), channels_last)
    terms = computing(gradients)
    noise = native.random_normal(seed, size, STREAM).to(terms.dtype)
    mu, sigma = run_there(native.gaussian_weight_grad, gradients, seed, STREAM)
    assert torch.equal(mu, in_order(terms, size, dtype, 4))
    assert torch.equal(sigma, in_order(terms * noise, size, dtype, 4))
    kept = masked_weight(torch.ones(size, dtype=terms.dtype), seed, None, 0.3, 0, False, 0, 1, STREAM)
    masked = run_there(native.masked_weight_grad, gradients, seed, None, 0.3, 0, False, 0, 1, STREAM)
    assert torch.equal(masked, in_order(terms * kept, size, dtype, 16))


def test_pieces_of_large_weights(run_there):
    """Half as many threads as are enough: two pieces."""
    gradients, seed = torch.randn(26, 126_031, 1), torch.arange(26)
    mu, _ = run_there(native.gaussian_weight_grad, gradients, seed, STREAM)
    assert torch.equal(mu, in_order(gradients, gradients.shape[1:], torch.float32, 4))
    masked = run_there(native.masked_weight_grad, gradients, seed, None, 0.0, 0, False, 0, 1, STREAM)
    assert torch.equal(masked, in_order(gradients, gradients.shape[1:], torch.float32, 16))


def test_gradients_in_any_layout(run_there):
    gradients = torch.randn(2, 3, 5, 4, 3).movedim(-1, 0)  # [S, O, I, *], one weight after another nowhere
    assert not gradients.is_contiguous()
    for operator, options in (
        (native.gaussian_weight_grad, (SEEDS, STREAM)),
        (native.masked_weight_grad, (SEEDS, None, 0.3, 0, True, 0, 1, STREAM)),
    ):
        ours, expected = (run_there(operator, g, *options) for g in (gradients, gradients.contiguous()))
        for one, other in zip(ours, expected, strict=True):
            assert torch.equal(one, other)


def test_no_samples(run_there):
    mu, sigma = run_there(native.gaussian_weight_grad, torch.ones(0, 2, 3), SEEDS[:0], STREAM)
    masked = run_there(native.masked_weight_grad, torch.ones(0, 2, 3), SEEDS[:0], None, 0.3, 0, True, 0, 1, STREAM)
    for gradient in (mu, sigma, masked):
        assert torch.equal(gradient, torch.zeros(2, 3))


X = torch.ones(3, 4, 2)
BAD = {
    "seed": (X, SEEDS.float(), "seed must be an int64 tensor"),
    "samples": (X, SEEDS[:2], r"gradients must have shape \[2\] and that of the weight, not \[3, 4, 2\]"),
    "dtype": (X.int(), SEEDS, "gradients must be float32"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors(case):
    gradients, seed, message = BAD[case]
    with pytest.raises(RuntimeError, match=f"gaussian_weight_grad: {message}"):
        native.gaussian_weight_grad(gradients, seed, 0)
    with pytest.raises(RuntimeError, match=f"masked_weight_grad: {message}"):
        native.masked_weight_grad(gradients, seed, None, 0.3, 0, True, 0, 1, 0)


def test_examples_are_counted():
    with pytest.raises(
        RuntimeError, match=r"masked_weight_grad: gradients must have shape \[3, 5\] and that of the weig"
    ):
        native.masked_weight_grad(X, SEEDS, None, 0.3, 0, True, 5, 1, 0)
