"""What follows a library's convolution on CUDA, bit for bit against the CPU's fused operators.

`conv_epilogue` and `lrt_epilogue_fused` run on the CPU, too: there they are the functors of csrc/kernels/flat, one
index after another, with the arguments that CUDA's threads have. A GPU runs the same tests.
"""

import pytest
import torch

from bayesops.ops import _sample_convolution
from bayesops.ops._cuda_composites import COMPOSITES
from bayesops.ops._layout import is_channels_last

native = torch.ops.bayesops
SEEDS = torch.tensor([3, -8, 2**62 + 5])
STREAM = 5
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
EXAMPLES = 2

# image [O, *], groups
IMAGES = {
    "linear": ((12,), 1),
    "1d": ((6, 13), 1),
    "2d": ((5, 4, 7), 1),
    "2d-groups": ((12, 3, 5), 3),
    "2d-depthwise": ((6, 2, 3), 6),
    "2d-one-pixel": ((9, 1, 1), 1),
    "2d-large": ((20, 9, 11), 1),  # more than one index has, of channels and of pixels
    "3d": ((4, 2, 3, 3), 2),
}


@pytest.fixture
def assert_same(multiply_adds_are_fused):
    """The bits of the CPU operators, where those are as exact as the device."""

    def assert_same(ours, expected):
        if multiply_adds_are_fused:
            assert torch.equal(ours, expected)
        else:
            torch.testing.assert_close(ours, expected)

    return assert_same


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request):
    return request.param


@pytest.fixture(params=IMAGES, ids=str)
def image(request):
    return IMAGES[request.param]


def lay_out(images, spatial, channels_last):
    channel = images.dim() - spatial - 1
    return images.movedim(channel, -1).contiguous().movedim(-1, channel) if channels_last else images.contiguous()


def ragged(t):
    """A view whose rows are apart: no one step leads from pixel to pixel."""
    room = t.new_zeros([*t.shape[:-1], t.shape[-1] + 1])
    room[..., 1:] = t
    return room[..., 1:]


# Results [S, N, g, O / g, *] as convolutions leave them: of one weight a sample, samples side by side in channels or
# in groups, of images whose channels come last, and of nobody.
FOLDINGS = {
    "together": lambda t: t.contiguous(),
    "wide": lambda t: t.movedim(0, 2).contiguous().movedim(2, 0),
    "in-groups": lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
    "wide-channels-last": lambda t: t.permute(1, *range(4, t.dim()), 2, 0, 3).contiguous().permute(
        t.dim() - 2, 0, t.dim() - 3, t.dim() - 1, *range(1, t.dim() - 3)
    ),
    "ragged": ragged,
}  # fmt: skip


def identity(channels, groups, spatial, dtype):
    """A weight that leaves images as they are: what it makes is exact, in every library."""
    weight = torch.eye(channels // groups, dtype=dtype).repeat(groups, 1)
    return weight.reshape(*weight.shape, *[1] * spatial)


def geometry(groups, spatial):
    return [1] * spatial, [0] * 2 * spatial, [1] * spatial, groups


def all_parts(channels, shape, dtype):
    """Scale, shift, residual and relu."""
    return (torch.rand(channels) + 0.5).to(dtype), torch.randn(channels).to(dtype), torch.randn(shape).to(dtype), True


@pytest.mark.parametrize("parts", range(16))
@pytest.mark.parametrize("folding", FOLDINGS)
def test_each_part(run_there, assert_same, folding, parts):
    check_folded(run_there, assert_same, *IMAGES["2d-groups"], torch.float32, folding, False, "each", parts, 0)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("bias", ["none", "shared", "each"])
@pytest.mark.parametrize("folding", FOLDINGS)
def test_folded_results(run_there, assert_same, image, dtype, folding, bias, channels_last):
    for residual_lead in (0, 1):
        check_folded(run_there, assert_same, *image, dtype, folding, channels_last, bias, 15, residual_lead)


def check_folded(run_there, assert_same, image, groups, dtype, folding, channels_last, bias, parts, residual_lead):
    channels, spatial, samples = image[0], len(image) - 1, len(SEEDS)
    results = torch.randn(samples, EXAMPLES, *image).to(dtype)
    input = lay_out(results, spatial, channels_last)
    biases = {"none": None, "shared": torch.randn(channels), "each": torch.randn(samples, channels)}
    bias = None if biases[bias] is None else biases[bias].to(dtype)
    epilogue = all_parts(channels, results.shape[residual_lead:], dtype)
    epilogue = [part if parts >> i & 1 else None for i, part in enumerate(epilogue[:3])] + [bool(parts & 8)]
    weight = identity(channels, groups, spatial, dtype)
    # No mask and no noise: the convolution returns its input.
    expected = native.sampled_conv_fused(
        input, weight, torch.zeros_like(weight), bias, SEEDS, STREAM,
        *geometry(groups, spatial), *epilogue,
    )  # fmt: skip
    folded = FOLDINGS[folding](results.unflatten(2, (groups, -1)))
    last = is_channels_last(input, spatial)
    output = run_there(native.conv_epilogue, folded, bias, None, None, spatial, last, *epilogue)
    assert_same(output, expected)
    assert output.dtype == dtype
    assert output.stride() == expected.stride()


@pytest.mark.parametrize("shared_base", [False, True])
def test_signs_and_base(run_there, image, dtype, shared_base):
    """Rounded once: bfloat16 and what a convolution left in it meet in float32."""
    (channels, *space), groups = image
    shape, spatial = (len(SEEDS), EXAMPLES, channels, *space), len(space)
    results = torch.randn(shape).to(dtype)
    base = torch.randn(1 if shared_base else shape[0], *shape[1:]).to(dtype)
    signs = (torch.randint(2, shape[:3]) * 2 - 1).to(dtype)
    bias = torch.randn(channels).to(dtype)
    scale, shift, residual, _ = all_parts(channels, shape, dtype)
    output = run_there(
        native.conv_epilogue, results.unflatten(2, (groups, -1)), bias, base.unflatten(2, (groups, -1)), signs, spatial,
        False, scale, shift, residual, False,
    )  # fmt: skip
    over = (channels, *[1] * spatial)
    terms = [
        results.double() * signs.double().view(*shape[:3], *[1] * spatial),
        bias.double().view(over),
        base.double(),
    ]
    exact = sum(terms) * scale.double().view(over) + shift.double().view(over) + residual.double()
    size = sum(t.abs() for t in terms) * scale.double().view(over) + shift.double().view(over).abs() + residual.abs()
    computing = torch.finfo(torch.promote_types(dtype, torch.float32))
    allowed = torch.finfo(dtype).eps / 2 * exact.abs() + 4 * computing.eps * size
    assert ((output.double() - exact).abs() <= allowed).all()


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("sharing", ["one-draw", "shared-input", "input-per-sample", "each sample alone"])
@pytest.mark.parametrize("case", ["masked_conv", "masked_conv, no bias", "sampled_conv", "flipout_conv", "lrt_conv"])
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_composites(assert_same, image, dtype, case, sharing, channels_last, monkeypatch):
    """All that CUDA runs, of convolutions that are exact, with and without an epilogue."""
    if sharing == "each sample alone":
        monkeypatch.setattr(_sample_convolution, "ALONE_FROM", 0)
    family = case.split(",")[0]
    (channels, *space), groups = image
    spatial = len(space)
    lead = (EXAMPLES,) if sharing in ("one-draw", "shared-input") else (len(SEEDS), EXAMPLES)
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    input = lay_out(torch.randn(*lead, channels, *space, dtype=dtype), spatial, channels_last)
    weight, bias = identity(channels, groups, spatial, dtype), torch.rand(channels, dtype=dtype)
    arguments = {
        "masked_conv": (weight, bias, seed, None, 0.5, 0, True, False, STREAM),
        "masked_conv, no bias": (weight, None, seed, None, 0.5, 0, True, False, STREAM),
        "sampled_conv": (weight, 0 * weight, torch.rand(*seed.shape, channels, dtype=dtype), seed, STREAM),
        "flipout_conv": (weight, weight / 4, None, seed, STREAM),  # the CPU adds a bias now to this part, now to that
        "lrt_conv": (weight, weight / 4, bias, bias, seed, STREAM),
    }
    arguments = (input, *arguments[case], *geometry(groups, spatial))
    epilogue = all_parts(channels, (*seed.shape, EXAMPLES, channels, *space), dtype)
    for name, last in ((family, ()), (f"{family}_fused", epilogue)):
        output, expected = COMPOSITES[name](*arguments, *last), getattr(native, name)(*arguments, *last)
        assert_same(output, expected)
        assert is_channels_last(output, spatial) == is_channels_last(expected, spatial)
    if family == "lrt_conv":
        for ours, expected in zip(COMPOSITES["lrt_conv_std"](*arguments), native.lrt_conv_std(*arguments), strict=True):
            assert_same(ours, expected)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("seed", [SEEDS[0], SEEDS], ids=["one-draw", "seeds"])
def test_draws_of_given_deviations(run_there, assert_same, image, dtype, seed, channels_last):
    (channels, *space), _ = image
    spatial = len(space)
    mean, std = (
        lay_out(t(EXAMPLES, channels, *space).to(dtype), spatial, channels_last) for t in (torch.randn, torch.rand)
    )
    for residual_shape in (mean.shape, (*seed.shape, *mean.shape)):
        epilogue = all_parts(channels, residual_shape, dtype)
        output = run_there(native.lrt_epilogue_fused, mean, std, True, None, None, seed, STREAM, spatial, *epilogue)
        expected = native.lrt_draw(mean, std, seed, STREAM, *epilogue)
        assert_same(output, expected)
        assert output.stride() == expected.stride()


@pytest.mark.parametrize("shared", [False, True])
def test_draws_of_variances(run_there, image, dtype, shared):
    """Rounded once, whatever the biases, the root and the noise; a variance may be slightly below zero."""
    (channels, *space), _ = image
    spatial, shape = len(space), (len(SEEDS), EXAMPLES, channels, *space)
    mean, variance = torch.randn(shape[shared:]).to(dtype), torch.rand(shape[shared:]).to(dtype)
    variance.view(-1)[::5] = -1e-9
    bias_mu, bias_var = torch.randn(channels).to(dtype), torch.rand(channels).to(dtype)
    bias_var[0] = 0
    output = run_there(
        native.lrt_epilogue_fused,
        mean,
        variance,
        False,
        bias_mu,
        bias_var,
        SEEDS,
        STREAM,
        spatial,
        None,
        None,
        None,
        False,
    )
    over = (channels, *[1] * spatial)
    deviation = (variance.double() + bias_var.double().view(over)).clamp(min=0).sqrt()
    noise = native.random_normal(SEEDS, [EXAMPLES, *space, channels], STREAM).movedim(-1, 2).double()
    exact = mean.double() + bias_mu.double().view(over) + deviation * noise
    size = mean.double().abs() + bias_mu.double().view(over).abs() + deviation * noise.abs()
    computing = torch.finfo(torch.promote_types(dtype, torch.float32))
    allowed = torch.finfo(dtype).eps / 2 * exact.abs() + 4 * computing.eps * size
    assert ((output.double() - exact).abs() <= allowed).all()


@pytest.mark.parametrize("size", [(0, 2, 1, 3, 4), (3, 0, 1, 3, 4), (3, 2, 1, 3, 0)], ids=str)
def test_nothing(run_there, size):
    output = run_there(
        native.conv_epilogue, torch.ones(size), torch.ones(3), None, None, 1, False, None, None, None, True
    )
    assert output.shape == (*size[:2], 3, size[4])


X = torch.ones(3, 2, 2, 3, 4)
BAD = {
    "axes": ((X, None, None, None, 0), r"result must have shape \[samples, examples, groups, channels, 0 axes\]"),
    "dtype": ((X.int(), None, None, None, 1), "result must be float32"),
    "bias": ((X, X[:2, 0, 0, :, 0], None, None, 1), r"bias must have shape \[3, 6\], not \[2, 3\]"),
    "base": ((X, None, X[:2], None, 1), r"base must have shape \[3, 2, 2, 3, 4\], not \[2, 2, 2, 3, 4\]"),
    "base's dtype": ((X, None, X.double(), None, 1), "base must have the dtype of the other tensors"),
    "signs": ((X, None, None, X[0, 0, 0], 1), r"signs must have shape \[3, 2, 6\], not \[3, 4\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors(case):
    arguments, message = BAD[case]
    with pytest.raises(RuntimeError, match=f"conv_epilogue: {message}"):
        native.conv_epilogue(*arguments, False, None, None, None, False)
    with pytest.raises(RuntimeError, match=r"conv_epilogue: scale must have shape \[6\], not \[3\]"):
        native.conv_epilogue(X, None, None, None, 1, False, torch.ones(3), None, None, False)


# padding, groups
CONVOLUTIONS = {"1d": ([1], 1), "2d": ([0, 1], 1), "2d-groups": ([1, 1], 3), "3d": ([1, 0, 1], 2)}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("samples_of_parts", [1, len(SEEDS)])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_sample_by_sample(run_there, case, dtype, samples_of_parts, channels_last):
    """The bits of what follows all of them. Numbers are whole, so that no library's order of summation matters."""
    padding, groups = CONVOLUTIONS[case]
    spatial, channels, samples = len(padding), 6, len(SEEDS)
    sizes = [samples, EXAMPLES, 6, *range(4, 4 + spatial)], [samples, channels, 6 // groups, *[3] * spatial]
    images, weights = (lay_out(torch.randint(-3, 4, size).to(dtype), spatial, channels_last) for size in sizes)
    options = [2] * spatial, padding, [1] * spatial, groups
    run = torch.nn.functional
    convolution = (run.conv1d, run.conv2d, run.conv3d)[spatial - 1]
    results = [
        run_there(convolution, i, w, None, *options) for i, w in zip(images, weights, strict=True)
    ]  # fmt: skip
    shape = torch.stack(results).shape
    bias = torch.randn(samples, channels) if samples_of_parts > 1 else torch.randn(channels)
    base = torch.randn(samples_of_parts, *shape[1:]).unflatten(2, (groups, -1))
    signs = torch.randint(2, shape[:3]) * 2 - 1
    parts = [part.to(dtype) for part in (bias, base, signs)]
    epilogue = all_parts(channels, (shape if samples_of_parts > 1 else shape[1:]), dtype)
    for following, last in ((parts, epilogue), ([None] * 3, (None, None, None, False))):
        expected = run_there(
            native.conv_epilogue, torch.stack(results).unflatten(2, (groups, -1)), *following, spatial, channels_last,
            *last,
        )  # fmt: skip
        output = run_there(native.convolve_samples, images, weights, *options, *following, channels_last, *last)
        assert torch.equal(output, expected)
        assert output.stride() == expected.stride()


def test_samples_must_match():
    options = ([1], [0], [1], 1, None, None, None, False, None, None, None, False)
    for input, weights in (
        (torch.ones(2, 1, 3, 4), torch.ones(3, 1, 3, 1)),
        (torch.ones(1, 3, 4), torch.ones(1, 3, 1)),
    ):
        with pytest.raises(RuntimeError, match=r"convolve_samples: input \[S, N, I, \*\] and weights .* same samples"):
            native.convolve_samples(input, weights, *options)


def test_a_convolution_that_fails_may_have_lacked_memory():
    """What `predict` makes smaller chunks for."""
    options = ([1], [0], [1], 1, None, None, None, False, None, None, None, False)
    message = r"the convolution of a sample, input \[1, 3, 4\] with weight \[1, 2, 1\], could not be allocated, or"
    with pytest.raises(RuntimeError, match=message):
        native.convolve_samples(torch.ones(2, 1, 3, 4), torch.ones(2, 1, 2, 1), *options)
