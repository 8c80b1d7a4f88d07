"""Dropout against its reference, its gradients, its transforms, its errors."""

import pytest
import torch

from bayesops import ops
from bayesops.reference.dropout import dropout

SEEDS = torch.tensor([3, -8, 2**62 + 5])
SHAPES = [(4, 7), (2, 5, 9), (3, 17, 6, 5), (2, 3, 4, 5, 6), (1, 1), (0, 3, 4), (3, 130, 11)]


def channels_last(x, channel):
    return x.movedim(channel, -1).contiguous().movedim(-1, channel)


def check(input, **options):
    ours, plain = ops.dropout(input, **options), dropout(input.contiguous(), **options)
    tolerance = torch.finfo(input.dtype).eps  # one rounding: the reference divides, the operator multiplies
    torch.testing.assert_close(ours, plain, rtol=tolerance, atol=0)
    return ours


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("granularity", ["element", "channel"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "strided"])
def test_matches_reference(shape, granularity, dtype, layout):
    def lay_out(x, channel):
        if layout == "channels_last" and x.dim() > channel + 1:
            return channels_last(x, channel)
        return torch.stack([x, x], -1)[..., 0] if layout == "strided" else x

    options = {"p": 0.3, "granularity": granularity, "stream": 4}
    input = torch.randn(shape, dtype=torch.float64).to(dtype)
    check(lay_out(input, 1), seed=SEEDS[0], **options)
    check(lay_out(input, 1), seed=SEEDS, shared_input=True, **options)
    check(lay_out(torch.stack([input, input + 1, input - 1]), 2), seed=SEEDS, **options)


def test_layout_follows_the_input():
    input = torch.randn(2, 5, 6, 7)
    assert ops.dropout(input, p=0.5, seed=1).is_contiguous()
    last = channels_last(input, 1)
    assert ops.dropout(last, p=0.5, seed=1).stride() == last.stride()
    assert ops.dropout(last, p=0.5, seed=SEEDS, shared_input=True).movedim(2, -1).is_contiguous()


@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_given_mask(granularity):
    input = torch.randn(2, 5, 6, 7)
    base = (2, 5, 6, 7) if granularity == "element" else (2, 5)
    mask = torch.rand(base) < 0.5
    options = {"p": 0.3, "granularity": granularity}
    one = check(input, seed=0, mask=mask, **options)
    assert torch.equal(ops.dropout(input, seed=None, mask=mask, **options), one)
    masks = torch.rand(3, *base) < 0.5
    many = check(input, seed=SEEDS, mask=masks, shared_input=True, **options)
    assert torch.equal(ops.dropout(input, seed=None, mask=masks, shared_input=True, **options), many)
    inputs = torch.randn(3, *input.shape)
    own = check(inputs, seed=SEEDS, mask=masks, **options)
    assert torch.equal(ops.dropout(inputs, seed=None, mask=masks, **options), own)
    check(inputs, seed=SEEDS, mask=mask, **options)


@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_mean_is_kept(granularity):
    output = ops.dropout(torch.ones(400, 500), p=0.3, seed=1, granularity=granularity)
    kept = output != 0
    torch.testing.assert_close(output[kept], torch.full_like(output[kept], 1 / 0.7))
    assert abs(output.mean().item() - 1) < 5 * (0.3 / 0.7 / output.numel()) ** 0.5


def test_p_zero_keeps_all():
    input = torch.randn(3, 4)
    assert torch.equal(ops.dropout(input, p=0.0, seed=1), input)


@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_gradients(granularity):
    input = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    inputs = torch.randn(3, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    for x, options in [(input, {"seed": 1}), (input, {"seed": SEEDS, "shared_input": True}), (inputs, {"seed": SEEDS})]:

        def function(x, options=options):
            return ops.dropout(x, p=0.4, granularity=granularity, **options).square()

        assert torch.autograd.gradcheck(function, (x,))
        assert torch.autograd.gradgradcheck(function, (x,))


@pytest.mark.parametrize("granularity", [0, 1])
@pytest.mark.parametrize("last", [False, True])
def test_opcheck(granularity, last):
    operator = torch.ops.bayesops.dropout.default
    shared, own = torch.randn(2, 3, 4, 5), torch.randn(3, 2, 3, 4, 5)
    if last:
        shared, own = channels_last(shared, 1), channels_last(own, 2)
    for input, seed, is_shared in [(shared, SEEDS[0], False), (shared, SEEDS, True), (own, SEEDS, False)]:
        torch.library.opcheck(operator, (input.requires_grad_(), seed, None, 0.3, granularity, 2, is_shared))


@pytest.mark.parametrize("in_dims", [(None, 0), (0, 0), (2, 0), (0, None)], ids=str)
@pytest.mark.parametrize("granularity", ["element", "channel"])
def test_vmap(in_dims, granularity):
    input = torch.randn(3, 2, 4, 5).movedim(0, in_dims[0]) if in_dims[0] is not None else torch.randn(2, 4, 5)
    seed = SEEDS if in_dims[1] == 0 else SEEDS[0]

    def function(x, seed):
        return ops.dropout(x, p=0.4, seed=seed, granularity=granularity)

    looped = torch.stack(
        [
            function(input if in_dims[0] is None else input.select(in_dims[0], i), SEEDS[i] if seed.dim() else seed)
            for i in range(3)
        ]
    )
    assert torch.equal(torch.vmap(function, in_dims)(input, seed), looped)
    loss = torch.func.grad(lambda x, s: function(x, s).square().sum())
    assert torch.vmap(loss, in_dims)(input, seed).shape == (3, 2, 4, 5)


X = torch.randn(2, 3, 4)
BAD = {
    "p": ({"p": 1.0}, ValueError, r"'p' must be in \[0, 1\)"),
    "granularity": ({"granularity": "weight"}, ValueError, r"'granularity' must be one of 'element', 'channel'"),
    "seed": ({"seed": None}, TypeError, r"'seed' must be an int or an int64 tensor"),
    "stream": ({"stream": 2**32}, ValueError, r"'stream' must be in"),
    "dtype": ({"input": X.int()}, TypeError, r"'input' must be float32"),
    "dims": ({"input": X[0, 0]}, ValueError, r"'input' must be of shape \[N, C, \*\], got shape \(4,\)"),
    "sample dims": ({"input": X[0], "seed": SEEDS}, ValueError, r"'input' must be of shape \[S, N, C, \*\]"),
    "samples": ({"seed": SEEDS}, ValueError, r"'input' must be of first dimension 3.*shared_input"),
    "mask": ({"mask": X}, TypeError, r"'mask' must be a bool tensor"),
    "mask shape": ({"mask": X[0] > 0}, ValueError, r"'mask' must be of shape \(2, 3, 4\).*got shape \(3, 4\)"),
}


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", BAD, ids=str)
def test_errors(case):
    bad, error, message = BAD[case]
    with pytest.raises(error, match=f"^dropout: argument {message}"):
        ops.dropout(**{"input": X, "p": 0.5, "seed": 1, **bad})
