"""What each CUDA thread computes, computed on the host: the same bits as the CPU operators (or, for arithmetic on what
is drawn, as the same steps in PyTorch), and nothing else written.

The functors of csrc/kernels/flat are compiled here by the host's compiler, so this needs neither nvcc nor a GPU.
"""

import ctypes
import math
from ctypes import c_double, c_int64, c_void_p

import numpy as np
import pytest
import torch

import bayesops._library  # noqa: F401  registers the operators

ONE_SEED = torch.tensor(-7)
SEEDS = torch.tensor([3, -8, 2**62 + 5])
STREAM = 2**32 - 3
# Nothing dropped; a tie every 256th element, a quarter of them dropped; ties that all stay; ties at a T of many bits.
PROBABILITIES = [0.0, 1e-3, 0.5, 0.7]
DTYPES = [torch.float32, torch.float64]

GAUSSIAN_WEIGHT = [c_void_p, c_int64, c_int64, *[c_void_p] * 4]
STREAM_ARGUMENTS = [c_void_p, c_int64, c_int64]
SIGNATURES = {
    "flat_divide": [c_void_p, c_int64, c_int64, c_void_p, c_void_p],
    "flat_bernoulli": [*STREAM_ARGUMENTS, c_double, c_int64, c_void_p],
    "flat_normal": [*STREAM_ARGUMENTS, c_int64, c_void_p],
    "flat_signs": [*STREAM_ARGUMENTS, c_int64, c_void_p],
    "flat_words": [*STREAM_ARGUMENTS, c_int64, c_void_p],
    "flat_seeds": [c_void_p, c_int64, c_void_p],
    "flat_masked_weight_float32": [c_void_p, c_void_p, c_void_p, c_double, c_void_p],
    "flat_masked_weight_float64": [c_void_p, c_void_p, c_void_p, c_double, c_void_p],
    "flat_dropout_float32": [c_void_p, c_void_p, c_void_p, c_double, c_void_p],
    "flat_dropout_float64": [c_void_p, c_void_p, c_void_p, c_double, c_void_p],
    "flat_gaussian_weight_float32": GAUSSIAN_WEIGHT,
    "flat_gaussian_weight_float64": GAUSSIAN_WEIGHT,
    "flat_lrt_epilogue_float32": [c_void_p] * 6,
    "flat_lrt_epilogue_float64": [c_void_p] * 6,
    "flat_variance_grad_float32": [c_void_p] * 4,
    "flat_variance_grad_float64": [c_void_p] * 4,
}


class Mask(ctypes.Structure):
    _fields_ = [
        ("seeds", c_void_p),
        ("stream", c_int64),
        ("p", c_double),
        ("given", c_void_p),
        ("given_sample_stride", c_int64),
    ]


class Weight(ctypes.Structure):
    _fields_ = [
        (name, c_int64)
        for name in (
            "granularity", "samples", "examples", "per_example", "out_channels", "group_in", "taps", "groups",
            "elements", "channels_last",
        )
    ]  # fmt: skip


class Layout(ctypes.Structure):
    _fields_ = [(name, c_int64) for name in ("out_channels", "in_channels", "taps", "channels_last")]


class Activations(ctypes.Structure):
    _fields_ = [
        (name, c_int64)
        for name in ("samples", "examples", "channels", "pixels", "shared_input", "channels_last", "whole_channels")
    ]


class Noise(ctypes.Structure):
    _fields_ = [("seeds", c_void_p)] + [
        (name, c_int64)
        for name in (
            "stream", "samples", "examples", "channels", "pixels", "shared", "channels_last", "grad_channels_last"
        )
    ]  # fmt: skip


class Draws(ctypes.Structure):
    _fields_ = [
        ("spread_is_std", c_int64),
        *[(name, c_void_p) for name in ("bias_mean", "bias_variance", "scale", "shift", "residual")],
        ("residual_sample_stride", c_int64),
        ("relu", c_int64),
    ]


@pytest.fixture(scope="session")
def functors(compile_library):
    """The compiled functors."""
    return compile_library("flat_functors.cpp", SIGNATURES)


class Output:
    """Memory that a functor is to fill, between margins that it must leave alone."""

    MARGIN, FRESH = 256, 0xA5

    def __init__(self, expected):
        """Make room for something like `expected`, which lies in memory as the functor is to write it."""
        self.expected = expected.contiguous().flatten().view(torch.uint8)
        self.bytes = torch.full([len(self.expected) + 2 * self.MARGIN], self.FRESH, dtype=torch.uint8)

    @property
    def pointer(self):
        return self.bytes.data_ptr() + self.MARGIN

    def check(self):
        before, written, after = self.bytes.split([self.MARGIN, len(self.expected), self.MARGIN])
        assert torch.equal(written, self.expected)
        assert (torch.cat([before, after]) == self.FRESH).all()


@pytest.fixture(params=[ONE_SEED, SEEDS], ids=["one seed", "seeds"])
def seed(request):
    return request.param


def some(*shape, dtype):
    """Numbers, among them those that a dropped element must not let through, and a zero whose sign must stay."""
    numbers = torch.randn(*shape, dtype=dtype)
    fifths = numbers.view(-1)[::5]
    special = torch.tensor([-0.0, math.inf, -math.inf, math.nan], dtype=dtype)
    fifths.copy_(special.repeat(len(fifths))[: len(fifths)])
    return numbers


def mask_argument(seed, p, mask, elements):
    """The mask, where a draw of `elements` switches one sample; a given one may be the same for all samples."""
    if mask is None:
        return Mask(seed.data_ptr(), STREAM, p, None, 0)
    return Mask(seed.data_ptr(), STREAM, p, mask.data_ptr(), elements if mask.numel() > elements else 0)


def test_division(functors):
    """Of indices below 2^31, which multiplications do, and above."""
    ends = [2**bit + more for bit in range(2, 62) for more in (-1, 0, 1)]
    indices = np.array([0, 1, 2, *ends, *np.random.default_rng(0).integers(0, 2**31, 2000)], dtype=np.int64)
    for size in (1, 2, 3, 5, 7, 9, 10, 11, 25, 27, 49, 641, 1000, 65537, 99991, 10**7 + 19, *ends):
        near = np.arange(1, 40, dtype=np.int64) * size if size < 2**50 else np.array([size], dtype=np.int64)
        some = np.concatenate([indices, near, near - 1, near + 1])
        quotients, remainders = np.empty_like(some), np.empty_like(some)
        functors.flat_divide(some.ctypes.data, len(some), size, quotients.ctypes.data, remainders.ctypes.data)
        assert (quotients == some // size).all()
        assert (remainders == some % size).all()


COUNTS = [(), (1,), (3,), (15,), (16,), (17,), (31, 33), (5003,), (2, 0, 3)]


@pytest.mark.parametrize("shape", COUNTS, ids=str)
@pytest.mark.parametrize("p", PROBABILITIES)
def test_bernoulli(functors, seed, shape, p):
    out = Output(torch.ops.bayesops.random_bernoulli(seed, shape, p, STREAM))
    functors.flat_bernoulli(seed.data_ptr(), seed.numel(), math.prod(shape), p, STREAM, out.pointer)
    out.check()


@pytest.mark.parametrize("shape", COUNTS, ids=str)
@pytest.mark.parametrize("name", ["normal", "signs", "words"])
def test_other_streams(functors, seed, shape, name):
    out = Output(getattr(torch.ops.bayesops, f"random_{name}")(seed, shape, STREAM))
    function = getattr(functors, f"flat_{name}")
    function(seed.data_ptr(), seed.numel(), math.prod(shape), STREAM, out.pointer)
    out.check()


@pytest.mark.parametrize("samples", [0, 1, 7, 100])
def test_seeds(functors, samples):
    out = Output(torch.ops.bayesops.sample_seeds(ONE_SEED, samples))
    functors.flat_seeds(ONE_SEED.data_ptr(), samples, out.pointer)
    out.check()


# weight, groups
WEIGHTS = {
    "linear": ((19, 37), 1),
    "linear-one": ((1, 1), 1),
    "1d-groups": ((6, 2, 5), 2),
    "2d": ((8, 3, 3, 3), 1),
    "2d-groups": ((9, 4, 3, 2), 3),
    "2d-depthwise": ((40, 1, 3, 3), 20),
    "2d-large": ((35, 17, 3, 3), 1),
    "2d-many-taps": ((3, 9, 5, 5), 1),
    "3d-groups": ((6, 2, 2, 3, 3), 3),
    "3d": ((4, 3, 3, 1, 3), 1),
}


def channels_to_the_end(weights, weight_dims):
    """Weights ``[..., O, I, *]`` as they lie in memory with channels last."""
    return weights.movedim(weights.dim() - weight_dims + 1, -1).contiguous()


def check_masked_weight(
    functors, mask_shape, masked_weight, weight, groups, seed, mask, p, granularity, rescale, examples
):
    """`examples` is 0 where all share one mask."""
    out_channels, group_in, *taps = weight.shape
    elements = math.prod(mask_shape(granularity, weight.shape, groups))
    kept = (1 - p) ** (2 if granularity == 4 else 1)
    expected = masked_weight(weight, seed, mask, p, granularity, rescale, examples, groups, STREAM)
    function = getattr(functors, f"flat_masked_weight_{str(weight.dtype).removeprefix('torch.')}")
    for channels_last in (False, True):
        stored, out = weight, Output(expected)
        if channels_last:
            stored, out = (channels_to_the_end(t, weight.dim()) for t in (weight, expected))
            out = Output(out)
        shape = Weight(
            granularity, seed.numel(), examples or 7, examples > 0, out_channels, group_in, math.prod(taps), groups,
            elements, channels_last,
        )  # fmt: skip
        function(
            ctypes.byref(mask_argument(seed, p, mask, max(examples, 1) * elements)), ctypes.byref(shape),
            stored.data_ptr(), 1 / kept if rescale else 1.0, out.pointer,
        )  # fmt: skip
        out.check()


@pytest.mark.parametrize("examples", [0, 3])
@pytest.mark.parametrize("granularity", range(5))
@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_masked_weight(functors, mask_shape, masked_weight, seed, dtype, name, granularity, examples):
    shape, groups = WEIGHTS[name]
    weight = some(*shape, dtype=dtype)
    for p in PROBABILITIES:
        for rescale in (False, True):
            check_masked_weight(
                functors, mask_shape, masked_weight, weight, groups, seed, None, p, granularity, rescale, examples
            )


@pytest.mark.parametrize("same_for_all", [False, True])
@pytest.mark.parametrize("examples", [0, 3])
@pytest.mark.parametrize("granularity", range(5))
@pytest.mark.parametrize("name", WEIGHTS)
def test_masked_weight_with_a_given_mask(
    functors, mask_shape, masked_weight, seed, name, granularity, examples, same_for_all
):
    shape, groups = WEIGHTS[name]
    base = mask_shape(granularity, shape, groups)
    lead = seed.shape if not same_for_all else ()
    mask = torch.rand(*lead, *([examples] if examples else []), *base) < 0.6
    weight = some(*shape, dtype=torch.float32)
    check_masked_weight(
        functors, mask_shape, masked_weight, weight, groups, seed, mask, 0.25, granularity, True, examples
    )


# Images [C, *].
IMAGES = {
    "vectors": (37,),
    "one": (1,),
    "1d": (5, 23),
    "one channel": (1, 7, 9),
    "one pixel": (33, 1, 1),
    "2d": (17, 7, 5),
    "large": (67, 9, 11),
    "3d": (3, 2, 5, 3),
    "nothing": (3, 0, 5),
}


def check_dropout(functors, image, dtype, seed, mask, p, whole_channels, shared_input, channels_last):
    """Two examples of shape `image`, channels first."""
    examples, channels, pixels = 2, image[0], math.prod(image[1:])
    lead = [seed.numel()] if seed.dim() and not shared_input else []
    # As it lies in memory.
    lies = (*image[1:], channels) if channels_last else image
    stored = some(*lead, examples, *lies, dtype=dtype)
    input = stored.movedim(-1, len(lead) + 1) if channels_last else stored
    expected = torch.ops.bayesops.dropout(input, seed, mask, p, int(whole_channels), STREAM, shared_input)
    if channels_last:
        expected = expected.movedim(seed.dim() + 1, -1)
    out = Output(expected)
    function = getattr(functors, f"flat_dropout_{str(dtype).removeprefix('torch.')}")
    function(
        ctypes.byref(mask_argument(seed, p, mask, examples * channels * (1 if whole_channels else pixels))),
        ctypes.byref(
            Activations(
                seed.numel(), examples, channels, pixels, shared_input or not seed.dim(), channels_last, whole_channels
            )
        ),
        stored.data_ptr(),
        1 / (1 - p),
        out.pointer,
    )
    out.check()


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shared_input", [False, True])
@pytest.mark.parametrize("whole_channels", [False, True])
@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dropout(functors, seed, dtype, name, whole_channels, shared_input, channels_last):
    for p in PROBABILITIES:
        check_dropout(functors, IMAGES[name], dtype, seed, None, p, whole_channels, shared_input, channels_last)


@pytest.mark.parametrize("same_for_all", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shared_input", [False, True])
@pytest.mark.parametrize("whole_channels", [False, True])
@pytest.mark.parametrize("name", IMAGES)
def test_dropout_with_a_given_mask(functors, seed, name, whole_channels, shared_input, channels_last, same_for_all):
    image = IMAGES[name]
    lead = seed.shape if not same_for_all else ()
    mask = torch.rand(*lead, 2, *(image[:1] if whole_channels else image)) < 0.6
    check_dropout(functors, image, torch.float32, seed, mask, 0.25, whole_channels, shared_input, channels_last)


def check_gaussian_weight(functors, seed, mu, sigma, with_mu, layout):
    """Memory of a weight goes as `layout` says, and so do `mu` and `sigma`."""
    deviation = torch.ops.bayesops.random_normal(seed, sigma.shape, STREAM).to(sigma.dtype) * sigma
    expected = mu + deviation if with_mu else deviation
    stored = [mu, sigma, expected]
    if layout.channels_last:
        stored = [channels_to_the_end(t, sigma.dim()) for t in stored]
    mu, sigma, expected = stored
    out = Output(expected)
    function = getattr(functors, f"flat_gaussian_weight_{str(sigma.dtype).removeprefix('torch.')}")
    function(
        seed.data_ptr(), seed.numel(), STREAM, ctypes.byref(layout), mu.data_ptr() if with_mu else None,
        sigma.data_ptr(), out.pointer,
    )  # fmt: skip
    out.check()


@pytest.mark.parametrize("with_mu", [False, True])
@pytest.mark.parametrize("shape", COUNTS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gaussian_weight(functors, seed, dtype, shape, with_mu):
    mu, sigma = torch.randn(shape, dtype=dtype), torch.rand(shape, dtype=dtype)
    check_gaussian_weight(functors, seed, mu, sigma, with_mu, Layout(math.prod(shape), 1, 1, False))


@pytest.mark.parametrize("with_mu", [False, True])
@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gaussian_weight_with_channels_last(functors, seed, dtype, name, with_mu):
    shape, _ = WEIGHTS[name]
    mu, sigma = torch.randn(shape, dtype=dtype), torch.rand(shape, dtype=dtype)
    check_gaussian_weight(functors, seed, mu, sigma, with_mu, Layout(*shape[:2], math.prod(shape[2:]), True))


def as_stored(images, channels_last):
    """Images ``[..., C, pixels]`` as they lie in memory."""
    return (images.transpose(-1, -2) if channels_last else images).contiguous()


def noise_of(seed, image, shared, channels_last, grad_channels_last=False):
    """The functors' argument, and eps ``[S or nothing, 2, C, pixels]``: two examples of shape `image`."""
    channels, pixels = image[0], math.prod(image[1:])
    noise = Noise(seed.data_ptr(), STREAM, seed.numel(), 2, channels, pixels, shared, channels_last, grad_channels_last)
    eps = torch.ops.bayesops.random_normal(seed, (2, pixels, channels), STREAM)
    return noise, eps.transpose(-1, -2)


# Channels in fours are worked on in another order than those that are not.
QUADS = {"quads": (4, 7, 5), "many quads": (72, 13), "quads, one pixel": (12, 1)}


def drawn_by_the_cpu(seed, mean, std, epilogue):
    """Draws ``[S or nothing, N, C, pixels]`` of moments that samples share or have each, by the CPU operator."""
    draw = torch.ops.bayesops.lrt_draw
    if mean.dim() < 4:
        return draw(mean, std, seed, STREAM, *epilogue)
    *per_channel, residual, relu = epilogue
    return torch.stack(
        [
            draw(mean[s], std[s], seed[s], STREAM, *per_channel, None if residual is None else residual[s], relu)
            for s in range(len(seed))
        ]
    )


def check_lrt_epilogue(functors, seed, dtype, image, shared, channels_last, kind):
    """The bits of `lrt_draw`, which has means and deviations; here they come from variances and biases, too."""
    noise, eps = noise_of(seed, image, shared, channels_last)
    size = eps.shape[-3:] if shared else eps.shape
    mean, spread = torch.randn(size, dtype=dtype), torch.rand(size, dtype=dtype)
    spread.view(-1)[::7] = 0
    bias_mean, bias_variance, scale, shift = torch.rand(4, size[-2], dtype=dtype)
    residual = torch.randn(eps.shape, dtype=dtype)
    draws, epilogue, wants_std = Draws(), (None, None, None, False), kind == "variance"
    means, deviation = mean, spread
    if kind != "std":
        spread.view(-1)[3::7], spread.view(-1)[5::7] = -1e-9, math.nan
        variance = spread
        if kind == "finished":
            draws.bias_mean, draws.bias_variance = bias_mean.data_ptr(), bias_variance.data_ptr()
            means, variance = mean + bias_mean[:, None], spread + bias_variance[:, None]
        # NumPy's root, rounded as IEEE 754 wants it: PyTorch's may be one bit off.
        deviation = torch.from_numpy(np.sqrt(torch.where(variance < 0, 0, variance).numpy()))
    draws.spread_is_std = kind == "std"
    residuals = as_stored(residual, channels_last)
    if kind == "finished":
        epilogue = (scale, shift, residual, True)
        draws.scale, draws.shift, draws.residual = scale.data_ptr(), shift.data_ptr(), residuals.data_ptr()
        draws.residual_sample_stride, draws.relu = eps.shape[-3:].numel(), True
    expected = drawn_by_the_cpu(seed, means, deviation, epilogue)
    out = Output(as_stored(expected, channels_last))
    std = Output(as_stored(deviation, channels_last))
    stored = as_stored(mean, channels_last), as_stored(spread, channels_last)
    function = getattr(functors, f"flat_lrt_epilogue_{str(dtype).removeprefix('torch.')}")
    function(
        ctypes.byref(noise), ctypes.byref(draws), *[t.data_ptr() for t in stored], out.pointer,
        std.pointer if wants_std else None,
    )  # fmt: skip
    out.check()
    if wants_std:
        std.check()


@pytest.fixture
def bits_of_lrt_draw(multiply_adds_are_fused):
    if not multiply_adds_are_fused:
        pytest.skip("the CPU operators round products here: test_epilogue_functors.py allows for that")


KINDS = ["variance", "std", "finished"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", IMAGES | QUADS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_lrt_epilogue(functors, bits_of_lrt_draw, seed, dtype, name, shared, channels_last, kind):
    shared = shared and seed.dim() == 1
    check_lrt_epilogue(functors, seed, dtype, (IMAGES | QUADS)[name], shared, channels_last, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_lrt_epilogue_of_so_much_that_a_thread_draws_several_samples(functors, bits_of_lrt_draw, channels_last, kind):
    """Two each, and the fifth is left over."""
    check_lrt_epilogue(functors, torch.arange(5), torch.float32, (4, 1 << 16), True, channels_last, kind)


@pytest.mark.parametrize("grad_channels_last", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", IMAGES | QUADS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_variance_grad(functors, seed, dtype, name, shared, channels_last, grad_channels_last):
    shared = shared and seed.dim() == 1
    noise, eps = noise_of(seed, (IMAGES | QUADS)[name], shared, channels_last, grad_channels_last)
    grad, std = torch.randn(eps.shape, dtype=dtype), torch.rand(eps.shape[-3:] if shared else eps.shape, dtype=dtype)
    std.view(-1)[::7] = 0
    terms = grad * eps
    # Added one after another, as the device does.
    sums = sum(terms.unbind(0), torch.zeros_like(std)) if shared else terms
    out = Output(as_stored(torch.where(std == 0, 0, sums / (2 * std)), channels_last))
    grads, stds = as_stored(grad, grad_channels_last), as_stored(std, channels_last)
    function = getattr(functors, f"flat_variance_grad_{str(dtype).removeprefix('torch.')}")
    function(ctypes.byref(noise), grads.data_ptr(), stds.data_ptr(), out.pointer)
    out.check()
