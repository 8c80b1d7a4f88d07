"""What CUDA threads compute for sample_gaussian, computed on the host: weights and gradients bit for bit the CPU's.

The sums are added in another order on a device, so they agree within rounding. The elementary functions underneath are
held against float64 over their arguments.
"""

import ctypes
import math
from ctypes import c_double, c_int64, c_void_p

import numpy as np
import pytest
import torch

import bayesops._library  # noqa: F401  registers the operators

native = torch.ops.bayesops
SEEDS = torch.tensor([3, -8, 2**62 + 5])
STREAM = 2**32 - 3
# Neither a whole block of four elements, nor a whole row of blocks, nor a single one of an index's eight rows.
SHAPES = [(), (3,), (4,), (31, 33), (1, 5003), (17, 1024), (2, 0, 3)]
FUNCTIONS = ("exp", "exp_minus", "log", "log_abs", "log1p_over")
SIGNATURES = {
    "room_for_sums": [c_void_p] * 2,
    "draw_float32": [c_void_p] * 6,
    "draw_float64": [c_void_p] * 6,
    "gradient_float32": [c_void_p] * 8,
    "gradient_float64": [c_void_p] * 8,
    **{f"elementary_{name}": [c_void_p, c_void_p, c_int64] for name in FUNCTIONS},
}


class Problem(ctypes.Structure):
    _fields_ = [
        ("seeds", c_void_p),
        *((name, c_int64) for name in ("samples", "elements", "stream", "alpha", "prior")),
        *((name, c_double) for name in ("location", "inverse_scale", "wide", "gap", "log_odds", "constant")),
    ]


ROOT = 0.5 * math.log(2 * math.pi)
# What the operator is told, and what the kernel makes of it.
PRIORS = {
    "none": (0, [], {}),
    "gaussian": (1, [0.1, 0.5], {"location": 0.1, "inverse_scale": 2.0, "constant": -math.log(0.5) - ROOT}),
    "laplace": (2, [0.1, 0.5], {"location": 0.1, "inverse_scale": 2.0, "constant": -math.log(1.0)}),
    "mixture": (
        3,
        [0.75, 0.125, 2.0],
        {
            "wide": 0.125,
            "gap": 32.0 - 0.125,
            "log_odds": math.log(0.25) - math.log(2.0) - (math.log(0.75) - math.log(0.125)),
            "constant": math.log(0.25) - math.log(2.0) - ROOT,
        },
    ),
}


@pytest.fixture(scope="session")
def functors(compile_library):
    return compile_library("sample_gaussian_functors.cpp", SIGNATURES)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("seed", [SEEDS[0], SEEDS], ids=["one seed", "seeds"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_is_the_cpu(functors, dtype, seed, alpha, prior, shape):
    kind, parameters, law = PRIORS[prior]
    mu, spread = torch.randn(shape, dtype=dtype), 4 * torch.randn(shape, dtype=dtype)
    mu.view(-1)[::7] = 0
    options = (seed, STREAM, alpha, kind, parameters)
    expected = native.sample_gaussian(mu, spread, *options)
    problem = Problem(seed.data_ptr(), seed.numel(), mu.numel(), STREAM, alpha, kind, **law)
    tensors = (ctypes.byref(problem), mu.data_ptr(), spread.data_ptr())

    room = c_int64()
    functors.room_for_sums(ctypes.byref(problem), ctypes.byref(room))
    partial = torch.full([room.value], math.nan, dtype=torch.float64)
    weights, sums = torch.full_like(expected[0], math.nan), torch.zeros(2, *seed.shape, dtype=torch.float64)
    draw = functors.draw_float32 if dtype == torch.float32 else functors.draw_float64
    draw(*tensors, weights.data_ptr(), sums.data_ptr(), partial.data_ptr())
    assert torch.equal(weights, expected[0])
    torch.testing.assert_close(sums[0], expected[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sums[1], expected[2], rtol=1e-12, atol=1e-12)

    cotangents = [torch.randn_like(tensor) for tensor in expected]
    for given in (cotangents, [cotangents[0], None, None], [None, *cotangents[1:]]):
        gradients = [torch.full_like(mu, math.nan) for _ in range(2)]
        run = functors.gradient_float32 if dtype == torch.float32 else functors.gradient_float64
        run(*tensors, *(None if c is None else c.data_ptr() for c in given), *(g.data_ptr() for g in gradients))
        for ours, theirs in zip(gradients, native.sample_gaussian_grad(*given, mu, spread, *options), strict=True):
            assert torch.equal(ours, theirs)


def values_of(functors, name, x):
    x = np.ascontiguousarray(x, dtype=np.float32)
    y = np.empty_like(x)
    getattr(functors, f"elementary_{name}")(x.ctypes.data, y.ctypes.data, x.size)
    return x.astype(np.float64), y


def largest_error(values, exact):
    """In ULP of the exact value."""
    return (np.abs(values - exact) / np.spacing(np.abs(exact).astype(np.float32))).max()


def every_float(first, last, step):
    first, last = (np.float32(x).view(np.uint32) for x in (first, last))
    return np.arange(first, last, step, dtype=np.uint32).view(np.float32)


class TestElementary:
    """The errors that csrc/kernels/rng/elementary.h states."""

    def test_exp(self, functors):
        for name, sign, top in (("exp", 1, 88.7), ("exp_minus", -1, 0.0)):
            x, y = values_of(functors, name, sign * np.linspace(-103, top, 2_000_003))
            assert largest_error(y, np.exp(sign * x)) <= 1.02
        special = np.array([0.0, -np.inf, np.inf, np.nan, -104.5, 89.0])
        np.testing.assert_array_equal(values_of(functors, "exp", special)[1], [1, 0, np.inf, np.nan, 0, np.inf])

    def test_log(self, functors):
        for numbers in (every_float(2.0**-126, 3e38, 997), every_float(0.5, 0.999, 7), every_float(1.001, 2.0, 7)):
            x, y = values_of(functors, "log", numbers)
            assert largest_error(y, np.log(x)) <= 0.9
        near = every_float(0.99, 1.01, 1)  # all of them; the logarithm goes through 0
        x, y = values_of(functors, "log", near[near != 1])
        assert largest_error(y, np.log(x)) <= 0.9
        x, y = values_of(functors, "log_abs", -every_float(1e-45, 2.0**-125, 97))
        assert largest_error(y, np.log(-x)) <= 0.9
        special = np.array([0.0, -0.0, 1.0, -1.0, np.nan])
        np.testing.assert_array_equal(values_of(functors, "log_abs", special)[1], [-np.inf, -np.inf, 0, 0, np.nan])

    def test_log1p_over(self, functors):
        t = np.concatenate([np.linspace(0, 1, 1_000_003)[1:], np.exp(-np.linspace(0, 103, 100_003))])
        t, y = values_of(functors, "log1p_over", t)
        assert largest_error(y, np.log1p(t) / t) <= 1.4
        assert values_of(functors, "log1p_over", np.zeros(1))[1] == 1
