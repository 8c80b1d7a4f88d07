"""The Gaussian operators on a GPU against the CPU's: the same draws bit for bit, convolutions within rounding."""

import pytest
import torch

import bayesops  # noqa: F401  registers the operators

pytestmark = pytest.mark.cuda
DEVICE = "cuda"
SEEDS = torch.tensor([3, -8, 21])
STREAM = 5
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
native = torch.ops.bayesops

# image [I, *], weight, geometry
PROBLEMS = {
    "linear": ((37,), (19, 37), ([], [], [], 1)),
    "1d": ((4, 31), (6, 2, 5), ([3], [1, 2], [2], 2)),
    "2d": ((8, 9, 11), (12, 8, 3, 3), ([1, 1], [1, 1, 1, 1], [1, 1], 1)),
    "3d": ((3, 5, 6, 7), (4, 3, 3, 2, 3), ([2, 1, 1], [1, 1, 0, 0, 1, 1], [1, 1, 1], 1)),
}


@pytest.fixture(params=PROBLEMS, ids=str)
def problem(request):
    return PROBLEMS[request.param]


@pytest.fixture(params=[(2,), (3, 2)], ids=["shared", "per-sample"])
def lead(request):
    return request.param


def on_device(args):
    return [arg.to(DEVICE) if isinstance(arg, torch.Tensor) else arg for arg in args]


def on_both(operator, *args):
    """Results on the device (brought back) and on the CPU, as tuples."""
    ours, expected = operator(*on_device(args)), operator(*args)
    if isinstance(expected, torch.Tensor):
        ours, expected = (ours,), (expected,)
    assert all(result.device.type == DEVICE for result in ours)
    return [result.cpu() for result in ours], expected


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_noise_is_that_of_the_cpu(problem, lead, dtype, channels_last):
    image, weight, _ = problem
    mu, sigma = torch.randn(weight).to(dtype), torch.rand(weight).to(dtype)
    mean, variance = (t(*lead, *image).to(dtype) for t in (torch.randn, torch.rand))
    if channels_last:
        mean = mean.movedim(len(lead), -1).contiguous().movedim(-1, len(lead))
    spatial = len(image) - 1
    for operator, args in (
        (native.gaussian_weight, (mu, sigma, SEEDS, STREAM)),
        (native.gaussian_weight, (None, sigma, SEEDS[0], STREAM)),
        (native.lrt_epilogue, (mean, variance, SEEDS, STREAM, spatial)),
    ):
        for ours, expected in zip(*on_both(operator, *args), strict=True):
            assert torch.equal(ours, expected)
            assert ours.stride() == expected.stride()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_draws_of_given_moments(problem, dtype):
    image, *_ = problem
    mean, std, residual = torch.randn(2, *image), torch.rand(2, *image), torch.randn(3, 2, *image)
    epilogue = (torch.rand(image[0]).to(dtype), None, residual.to(dtype), True)
    ours, expected = on_both(native.lrt_draw, mean.to(dtype), std.to(dtype), SEEDS, STREAM, *epilogue)
    torch.testing.assert_close(ours[0], expected[0])
    assert ours[0].stride() == expected[0].stride()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_variance_grad(problem, lead, dtype):
    image, *_ = problem
    grad, std = torch.randn(3, 2, *image).to(dtype), torch.rand(*lead, *image).to(dtype)
    std.view(-1)[::5] = 0
    ours, expected = on_both(native.lrt_variance_grad, grad, std, SEEDS, STREAM, len(image) - 1)
    torch.testing.assert_close(ours[0], expected[0])


@pytest.mark.parametrize("family", ["sampled_conv", "flipout_conv"])
def test_drawn_weights(problem, lead, family):
    image, size, geometry = problem
    input, mu, sigma = torch.randn(*lead, *image).double(), torch.randn(size).double(), torch.rand(size).double()
    bias = torch.randn(3, size[0]).double()
    options = (STREAM, *geometry)
    forward, input_grad, weight_grad = (getattr(native, family + end) for end in ("", "_input_grad", "_weight_grad"))
    ours, expected = on_both(forward, input, mu, sigma, bias, SEEDS, *options)
    torch.testing.assert_close(ours[0], expected[0])
    grad = torch.randn_like(expected[0])
    for operator, args in (
        (input_grad, (grad, mu, sigma, SEEDS, input.shape, *options)),
        (weight_grad, (grad, input, SEEDS, mu.shape, *options)),
    ):
        for device_result, cpu_result in zip(*on_both(operator, *args), strict=True):
            torch.testing.assert_close(device_result, cpu_result)


def test_local_reparameterisation(problem, lead):
    image, size, geometry = problem
    input, mu, var = torch.randn(*lead, *image).double(), torch.randn(size).double(), torch.rand(size).double()
    bias = torch.rand(size[0]).double()
    ours, expected = on_both(native.lrt_conv_std, input, mu, var, bias, bias, SEEDS, STREAM, *geometry)
    for device_result, cpu_result in zip(ours, expected, strict=True):
        torch.testing.assert_close(device_result, cpu_result)
    grads = torch.randn_like(expected[1]), torch.randn_like(expected[1])
    for operator, args in (
        (native.lrt_conv_input_grad, (*grads, input, mu, var, *geometry)),
        (native.lrt_conv_weight_grad, (*grads, input, mu.shape, *geometry)),
    ):
        for device_result, cpu_result in zip(*on_both(operator, *args), strict=True):
            torch.testing.assert_close(device_result, cpu_result)
