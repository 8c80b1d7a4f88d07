"""What CUDA threads compute of each element by itself, computed on the host: bit for bit the CPU's."""

import ctypes
import math
from ctypes import c_double, c_int64, c_void_p

import pytest
import torch

import bayesops._library  # noqa: F401  registers the operators

native = torch.ops.bayesops
SHAPES = [(), (3,), (4,), (31, 33), (1, 5003), (2, 0, 3)]
DTYPES = {torch.float32: "float32", torch.float64: "float64"}
SIGNATURES = {
    f"{name}_{dtype}": arguments
    for dtype in DTYPES.values()
    for name, arguments in {
        "softplus": [c_int64] + [c_void_p] * 3,
        "softplus_variance": [c_int64] + [c_void_p] * 3,
        "gaussian_kl_grad": [c_int64, c_void_p, c_void_p, c_void_p, c_double, c_double, c_void_p, c_void_p],
        "max_pool": [c_void_p, c_int64, c_int64, c_void_p, c_void_p],
    }.items()
}


@pytest.fixture(scope="session")
def functors(compile_library):
    return compile_library("elementwise_functors.cpp", SIGNATURES)


pytestmark = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["softplus", "softplus_variance"])
def test_functions_of_a_number(functors, name, shape, dtype):
    rho, grad = 9 * torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
    run = getattr(functors, f"{name}_{DTYPES[dtype]}")
    expected = getattr(native, name)(rho), getattr(native, f"{name}_grad")(grad, rho)
    for given, result in zip((None, grad), expected, strict=True):
        ours = torch.full_like(rho, math.nan)
        run(rho.numel(), rho.data_ptr(), None if given is None else given.data_ptr(), ours.data_ptr())
        assert torch.equal(ours, result)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradient_of_the_divergence(functors, shape, dtype):
    mu, rho = torch.randn(shape, dtype=dtype), 9 * torch.randn(shape, dtype=dtype)
    grad = torch.tensor(0.7, dtype=torch.float64)
    ours = [torch.full_like(mu, math.nan) for _ in range(2)]
    pointers = [tensor.data_ptr() for tensor in (grad, mu, rho)]
    run = getattr(functors, f"gaussian_kl_grad_{DTYPES[dtype]}")
    run(mu.numel(), *pointers, 0.1, 0.5, *(tensor.data_ptr() for tensor in ours))
    for a, b in zip(ours, native.gaussian_kl_grad(grad, mu, rho, 0.1, 0.5), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("activation", range(3), ids=["identity", "relu", "softplus"])
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_max_pooling(functors, channels, activation, dtype):
    input = torch.randn(3, channels, 9, 7, dtype=dtype)
    some = input.view(-1)[::5]
    some.copy_(torch.tensor([math.nan, -0.0, 0.0, -math.inf], dtype=dtype).repeat(len(some))[: len(some)])
    input = input.contiguous(memory_format=torch.channels_last)
    expected = native.max_pool2d_activation(input, [3, 2], [2, 2], [1, 1], True, activation)
    sizes = [3, channels, 9, 7, *expected.shape[2:], 3, 2, 2, 2, 1, 1]
    run = getattr(functors, f"max_pool_{DTYPES[dtype]}")
    for length in (1, 4):
        if channels % length == 0:
            ours = torch.full_like(expected, math.pi)
            numbers = (c_int64 * len(sizes))(*sizes)
            run(ctypes.addressof(numbers), activation, length, input.data_ptr(), ours.data_ptr())
            assert ours.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(ours, expected, rtol=0, atol=0, equal_nan=True)
            number = ~expected.isnan()  # what is not has a sign that compilers choose
            assert torch.equal(ours.signbit() & number, expected.signbit() & number)
