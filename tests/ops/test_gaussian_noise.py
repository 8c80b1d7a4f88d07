"""The operators behind the composites, gaussian_weight and lrt_epilogue: values, memory formats, errors."""

import pytest
import torch

from bayesops import random

SEEDS = torch.tensor([3, -8, 21])
STREAM = 5
DTYPES = [torch.float32, torch.float64, torch.bfloat16]

gaussian_weight = torch.ops.bayesops.gaussian_weight
lrt_epilogue = torch.ops.bayesops.lrt_epilogue


@pytest.fixture(params=["one-draw", "seeds"])
def seed(request):
    return SEEDS[0] if request.param == "one-draw" else SEEDS


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request):
    return request.param


def assert_rounded_once(ours, values):
    """One rounding of the result to its dtype, and those of float32 (or float64) before it."""
    eps = torch.finfo(ours.dtype).eps + 4 * torch.finfo(torch.promote_types(ours.dtype, torch.float32)).eps
    torch.testing.assert_close(ours.double(), values, rtol=eps, atol=eps)


@pytest.mark.parametrize("shape", [(7, 3), (5, 2, 3), (6, 3, 1, 2), (0, 4), (70, 5, 3, 3)], ids=str)
def test_weights(seed, dtype, shape):
    mu, sigma = torch.randn(shape).to(dtype), torch.rand(shape).to(dtype)
    noise = random.normal(seed, shape, STREAM).double()
    weights = gaussian_weight(mu, sigma, seed, STREAM)
    assert weights.dtype == dtype
    assert_rounded_once(weights, mu.double() + sigma.double() * noise)
    assert_rounded_once(gaussian_weight(None, sigma, seed, STREAM), sigma.double() * noise)


def test_weights_in_any_memory_format():
    mu, sigma = torch.randn(4, 3, 2, 5), torch.rand(4, 3, 2, 5)
    expected = gaussian_weight(mu, sigma, SEEDS, STREAM)
    last = [t.contiguous(memory_format=torch.channels_last) for t in (mu, sigma)]
    assert torch.equal(gaussian_weight(*last, SEEDS, STREAM), expected)
    assert expected.is_contiguous()


@pytest.mark.parametrize(
    "shape", [(7, 3), (5, 2, 3), (6, 3, 1, 2), (0, 4, 3, 3), (70, 5, 3, 3), (3, 8, 5, 5), (6, 9, 2, 3, 1)]
)
def test_weights_with_channels_last(seed, dtype, shape):
    mu, sigma = torch.randn(shape).to(dtype), torch.rand(shape).to(dtype)
    expected = gaussian_weight(mu, sigma, seed, STREAM)
    weights = gaussian_weight(mu, sigma, seed, STREAM, True)
    assert torch.equal(weights, expected)
    assert weights.movedim(seed.dim() + 1, -1).is_contiguous()
    assert torch.equal(gaussian_weight(None, sigma, seed, STREAM, True), gaussian_weight(None, sigma, seed, STREAM))


@pytest.mark.parametrize("image", [(7,), (4, 9), (5, 3, 2), (8, 3, 3), (2, 2, 3, 2), (3, 0, 2)], ids=str)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("formats", [("contiguous",) * 2, ("channels_last",) * 2, ("channels_last", "contiguous")])
def test_epilogue(seed, dtype, image, shared, formats):
    lead = (2,) if shared else (*seed.shape, 2)
    spatial = len(image) - 1
    mean = torch.randn(*lead, *image).to(dtype)
    variance = torch.rand(*lead, *image).to(dtype)
    noise = random.normal(seed, (2, *image[1:], image[0]), STREAM).movedim(-1, seed.dim() + 1).double()

    def lay_out(images, memory_format):
        if memory_format == "contiguous":
            return images
        return images.movedim(len(lead), -1).contiguous().movedim(-1, len(lead))

    output, std = lrt_epilogue(lay_out(mean, formats[0]), lay_out(variance, formats[1]), seed, STREAM, spatial)
    assert_rounded_once(std, variance.double().sqrt())
    assert_rounded_once(output, mean.double() + variance.double().sqrt() * noise)
    for images in (output, std):
        channel = images.dim() - spatial - 1
        last = formats[0] == "channels_last" and spatial > 0
        assert (images.movedim(channel, -1) if last else images).is_contiguous()


@pytest.mark.parametrize("variance", [0.0, -1e-12])
def test_no_variance_is_the_mean(seed, variance):
    """A convolution may round a variance of zero to slightly less."""
    mean = torch.randn(*seed.shape, 2, 3, 4)
    output, std = lrt_epilogue(mean, torch.full_like(mean, variance), seed, STREAM, 1)
    assert torch.equal(output, mean)
    assert torch.equal(std, torch.zeros_like(mean))


def test_no_samples():
    seed = SEEDS[:0]
    assert gaussian_weight(None, torch.ones(2, 3), seed, STREAM).shape == (0, 2, 3)
    output, std = lrt_epilogue(torch.ones(2, 3), torch.ones(2, 3), seed, STREAM, 0)
    assert output.shape == (0, 2, 3)
    assert torch.equal(std, torch.zeros(2, 3))


X = torch.ones(2, 3, 4)
BAD_WEIGHTS = {
    "seed": ((X, X, SEEDS.float(), 0), "seed must be an int64 tensor"),
    "stream": ((X, X, SEEDS, 2**32), r"stream must be in \[0, 2\^32\)"),
    "dtype": ((None, X.int(), SEEDS, 0), "sigma must be float32"),
    "float16": ((None, X.half(), SEEDS, 0), "sigma is float16, which runs on CUDA only"),
    "dtypes": ((X.double(), X, SEEDS, 0), "mu must have the dtype of the other tensors"),
    "shape": ((X[0], X, SEEDS, 0), r"mu must have shape \[2, 3, 4\], not \[3, 4\]"),
}
BAD_STATISTICS = {
    "seed": ((X, X, SEEDS.float(), 0, 1), "seed must be an int64 tensor"),
    "stream": ((X, X, SEEDS, -1, 1), r"stream must be in \[0, 2\^32\)"),
    "spatial": ((X, X, SEEDS, 0, 4), "spatial must be 0 to 3, not 4"),
    "dtype": ((X.int(), X, SEEDS, 0, 1), "mean must be float32"),
    "dtypes": ((X, X.double(), SEEDS, 0, 1), "variance must have the dtype of the other tensors"),
    "shape": ((X, X[0], SEEDS, 0, 1), r"variance must have shape \[2, 3, 4\], not \[3, 4\]"),
    "dims": ((X, X, SEEDS[0], 0, 0), r"mean must have 2 dimensions.*not shape \[2, 3, 4\]"),
    "samples": ((X, X, SEEDS, 0, 0), "mean has 2 samples and seed 3"),
}


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_errors_of_weights(case):
    arguments, message = BAD_WEIGHTS[case]
    with pytest.raises(RuntimeError, match=f"gaussian_weight: {message}"):
        gaussian_weight(*arguments)


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", BAD_STATISTICS)
def test_errors_of_the_epilogue(case):
    arguments, message = BAD_STATISTICS[case]
    with pytest.raises(RuntimeError, match=f"lrt_epilogue: {message}"):
        lrt_epilogue(*arguments)
