"""What CUDA threads compute for add_predictive_moments, on the host: the reference's moments, within rounding."""

import ctypes
import math
from ctypes import c_int64, c_void_p

import pytest
import torch

from bayesops.reference.predictive_moments import add_predictive_moments

AXES, IN_REGISTERS = 8, 12  # classes, at most
SIGNATURES = {"add_float32": [c_void_p, c_void_p, c_int64], "add_float64": [c_void_p, c_void_p, c_int64]}
WAYS = ("places, classes in registers", "places", "steps")  # of a softmax all of them give the same bits


class Problem(ctypes.Structure):
    _fields_ = [
        *((name, c_int64) for name in ("softmax", "draws", "count", "draw_stride", "classes", "places", "axes")),
        ("size", c_int64 * AXES),
        ("class_stride", c_int64 * 4),
        ("axis_stride", (c_int64 * AXES) * 4),
    ]


@pytest.fixture(scope="session")
def functors(compile_library):
    return compile_library("predictive_moments_functors.cpp", SIGNATURES)


def add(functors, samples, *, softmax, count, mean, deviations, expected_entropy=None):
    draw = samples.shape[1:]
    classes = min(1, len(draw) - 1) if softmax else None
    dims = [dim for dim in range(len(draw)) if dim != classes]
    problem = Problem(softmax, len(samples), count, samples.stride(0), 1 if classes is None else draw[classes])
    problem.axes, problem.places = len(dims), math.prod(draw[dim] for dim in dims)
    problem.size[: len(dims)] = [draw[dim] for dim in dims]
    steps = [samples.stride()[1:], mean.stride(), deviations.stride()]
    for tensor, step in enumerate(steps):
        problem.class_stride[tensor] = 0 if classes is None else step[classes]
        problem.axis_stride[tensor][: len(dims)] = [step[dim] for dim in dims]
    if expected_entropy is not None:
        problem.axis_stride[3][: len(dims)] = expected_entropy.stride()
    run = functors.add_float32 if samples.dtype == torch.float32 else functors.add_float64
    ways = WAYS if problem.classes <= IN_REGISTERS else WAYS[1:]
    if not softmax:
        ways = WAYS[:1]
    results = [t for t in (mean, deviations, expected_entropy) if t is not None]
    others = [[t.clone() for t in results] for _ in ways[1:]]  # which keeps the strides
    for way, those in zip(ways, (results, *others), strict=True):
        data = (c_void_p * 4)(*(t.data_ptr() for t in (samples, *those)))
        run(ctypes.byref(problem), data, WAYS.index(way))
        assert all(torch.equal(a.nan_to_num(9), b.nan_to_num(9)) for a, b in zip(results, those, strict=True)), way


def last(tensor, dim):
    return tensor.movedim(dim, -1).contiguous().movedim(-1, dim)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize(
    "shape", [(7,), (3, 5), (2, 11, 4, 6), (2, 12, 3), (2, 1, 3), (2, 64), (1, 75, 2), (1, 5000)], ids=str
)
def test_is_the_reference(functors, shape, softmax, channels_last, dtype):
    """Chunks of fewer draws than a thread takes together, of as many, and of more."""
    last_classes = (lambda t, dim: last(t, dim)) if channels_last and len(shape) > 2 else (lambda t, dim: t)
    ours = [last_classes(torch.full(shape, math.nan, dtype=dtype), 1) for _ in range(2)]
    exact = [torch.full(shape, math.nan, dtype=torch.float64) for _ in range(2)]
    if softmax:
        places = shape[:0] if len(shape) == 1 else (shape[0], *shape[2:])
        ours.append(torch.full(places, math.nan, dtype=dtype))
        exact.append(torch.full(places, math.nan, dtype=torch.float64))
    count = 0
    for draws in (21, 3, 8, 1):
        samples = last_classes(4 * torch.randn(draws, *shape, dtype=dtype), 2)
        names = ("mean", "deviations", "expected_entropy")
        for function, state in ((lambda *a, **k: add(functors, *a, **k), ours), (add_predictive_moments, exact)):
            function(samples, softmax=softmax, count=count, **dict(zip(names, state, strict=False)))
        count += draws
    rounding = 16 * torch.finfo(dtype).eps
    for a, b in zip(ours, exact, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=rounding, atol=rounding)


def test_each_tensor_has_a_layout_of_its_own(functors):
    """And no entropy, where nobody wants it."""
    samples, count = torch.randn(9, 2, 11, 4, 6), 0
    means, deviations = (torch.empty(2, 11, 4, 6) for _ in range(2))
    others = [last(means, 1), deviations.mT.contiguous().mT]
    for draws in samples.split(5):
        add(functors, draws, softmax=True, count=count, mean=means, deviations=deviations)
        add(functors, draws, softmax=True, count=count, mean=others[0], deviations=others[1])
        count += len(draws)
    assert torch.equal(others[0], means)
    assert torch.equal(others[1], deviations)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_extreme_logits(functors, dtype):
    inf = math.inf
    logits = torch.tensor(
        [[-inf, 0, -inf], [1e30, 1e30, -1e30], [0, 0, 0], [math.nan, 0, 0], [-inf, -inf, -inf], [900, 0, -900]],
        dtype=dtype,
    )
    samples = torch.stack([logits, logits])
    mean, deviations, entropy = (torch.empty(shape, dtype=dtype) for shape in ((6, 3), (6, 3), (6,)))
    add(functors, samples, softmax=True, count=0, mean=mean, deviations=deviations, expected_entropy=entropy)
    nan = math.nan
    expected = [[0, 1, 0], [0.5, 0.5, 0], [1 / 3] * 3, [nan] * 3, [nan] * 3, [1, 0, 0]]
    torch.testing.assert_close(mean, torch.tensor(expected, dtype=dtype), equal_nan=True)
    expected = torch.tensor([0, math.log(2), math.log(3), nan, nan, 0], dtype=dtype)
    torch.testing.assert_close(entropy, expected, equal_nan=True)
    assert torch.equal(deviations[[0, 1, 2, 5]], torch.zeros(4, 3, dtype=dtype))
