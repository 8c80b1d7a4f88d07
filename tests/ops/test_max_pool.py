"""max_pool2d against torch's own pooling: the same elements to the bit, whatever the shape and the memory format."""

import math

import pytest
import torch
from torch.nn import functional

from bayesops import ops
from bayesops.ops._max_pool_rules import pooled_size
from bayesops.reference.max_pool import max_pool2d

OPERATOR = torch.ops.bayesops.max_pool2d_activation.default
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "strided": lambda x: torch.stack([x, x], -1)[..., 0],
    "transposed": lambda x: x.mT.contiguous().mT,
}
WINDOWS = {
    "2": {"kernel_size": 2},
    "3/2": {"kernel_size": 3, "stride": 2},
    "3/2+1": {"kernel_size": 3, "stride": 2, "padding": 1},
    "3/1+1": {"kernel_size": 3, "stride": 1, "padding": 1},
    "2/3": {"kernel_size": 2, "stride": 3},
    "1/2": {"kernel_size": 1, "stride": 2},
    "3x2/1x3+1": {"kernel_size": (3, 2), "stride": (1, 3), "padding": 1},
    "2x5/3x1+1x2": {"kernel_size": (2, 5), "stride": (3, 1), "padding": (1, 2)},
    "6/4+3": {"kernel_size": 6, "stride": 4, "padding": 3},
}
SIZES = [(5, 5), (6, 9), (13, 2), (2, 41), (28, 28)]


def images(shape, dtype, special=True):
    """Random images; with `special` every value that a comparison may go wrong on, often."""
    x = torch.randn(shape, dtype=torch.float64)
    if special:
        kind = torch.randint(12, shape)
        values = [0.0, -0.0, -math.inf, -math.inf, math.inf, 1.0]
        for i, value in enumerate(values):
            x[kind == i] = value
        x[torch.rand(shape) < 0.03] = math.nan
    return x.to(dtype)


def assert_same_bits(ours, expected):
    """NaN apart, whose bits mean nothing."""
    assert ours.dtype == expected.dtype
    assert torch.equal(ours.isnan(), expected.isnan())
    assert torch.equal(ours.nan_to_num(), expected.nan_to_num())
    assert torch.equal(ours.signbit() & ~ours.isnan(), expected.signbit() & ~expected.isnan())


def pooled_or_none(input, window):
    try:
        return max_pool2d(input, **window)
    except RuntimeError:
        return None


def relu(x):
    """Torch's on the CPU; on CUDA that makes some releases' zeros positive."""
    return torch.where(x < 0, 0, x)


@pytest.mark.cpu_only
def test_relu_is_torchs():
    x = torch.tensor([-1.0, -0.0, 0.0, 1.0, math.nan])
    assert_same_bits(relu(x), x.relu())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows(window, ceil_mode, layout, dtype):
    window, made = WINDOWS[window] | {"ceil_mode": ceil_mode}, 0
    for channels in (1, 6, 20):
        for size in SIZES:
            input = LAYOUTS[layout](images((2, channels, *size), dtype))
            expected = pooled_or_none(input, window)
            if expected is None:
                with pytest.raises(ValueError, match="large enough for a window"):
                    ops.max_pool2d(input, **window)
                continue
            made += 1
            assert_same_bits(ops.max_pool2d(input, **window), expected)
            assert_same_bits(ops.max_pool2d(input, **window, activation="relu"), relu(expected))
    assert made >= 6


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("window", ["2", "3/2", "3/2+1", "3/1+1"])
def test_channels(window, layout, dtype):
    for channels in range(1, 41):
        input = LAYOUTS[layout](images((2, channels, 7, 8), dtype))
        expected = max_pool2d(input, **WINDOWS[window])
        assert_same_bits(ops.max_pool2d(input, **WINDOWS[window]), expected)
        assert_same_bits(ops.max_pool2d(input, **WINDOWS[window], activation="relu"), relu(expected))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_softplus(layout, dtype):
    """Within four roundings of the exact value: nothing cancels."""
    input = LAYOUTS[layout]((torch.rand(3, 20, 33, 35, dtype=torch.float64) * 60 - 35).to(dtype))
    ours = ops.max_pool2d(input, 2, padding=1, activation="softplus")
    exact = max_pool2d(input.double(), 2, padding=1, activation="softplus")
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.double(), exact, rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_softplus_is_as_exact_as_torch(dtype, assert_as_exact_as_torch):
    input = (torch.randn(2, 30, 40, 40) * 3 - 2).to(dtype)
    plain = max_pool2d(input, 2, activation="softplus")
    exact = max_pool2d(input.double(), 2, activation="softplus")
    assert_as_exact_as_torch(ops.max_pool2d(input, 2, activation="softplus"), plain, exact)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_softplus_at_its_limits(dtype):
    """Zero where it underflows; the identity from the threshold on; infinity and NaN."""
    values = torch.tensor([-math.inf, -1e6, -200.0, 0.0, 20.0, 20.125, 300.0, math.inf, math.nan], dtype=dtype)
    input = values.view(1, -1, 1, 1).expand(1, -1, 2, 2)
    expected = functional.softplus(values.double())
    tiny = torch.finfo(dtype).tiny
    for layout in ("contiguous", "channels_last"):
        ours = ops.max_pool2d(LAYOUTS[layout](input), 2, activation="softplus").double().flatten()
        torch.testing.assert_close(ours, expected, rtol=4 * torch.finfo(dtype).eps, atol=tiny, equal_nan=True)
        assert torch.equal(ours[5:7], values[5:7].double())


@pytest.mark.parametrize("activation", ["none", "relu", "softplus"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_one_image_is_a_batch_of_one(layout, activation):
    batch = LAYOUTS[layout](images((1, 6, 9, 11), torch.float32))
    ours, expected = (ops.max_pool2d(x, 3, 2, activation=activation) for x in (batch[0], batch))
    torch.testing.assert_close(ours, expected[0], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_batch_of_none(layout):
    input = LAYOUTS[layout](torch.zeros(0, 6, 9, 11))
    assert ops.max_pool2d(input, 3, 2, activation="softplus").shape == (0, 6, 4, 5)


@pytest.mark.parametrize("channels", [1, 5, 40])
def test_the_memory_format_is_that_of_the_input(channels):
    input = images((2, channels, 9, 11), torch.float32)
    assert ops.max_pool2d(input, 2).is_contiguous()
    last = LAYOUTS["channels_last"](input)
    assert ops.max_pool2d(last, 2).is_contiguous(memory_format=torch.channels_last)


def test_the_input_is_not_written_to():
    input = images((2, 20, 9, 11), torch.float32, special=False)
    before = input.clone()
    ops.max_pool2d(input, 3, 2, 1, activation="softplus")
    ops.max_pool2d(input, 1, 1, activation="relu")
    assert torch.equal(input, before)


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("channels", [5, 24])
def test_threads_do_not_show(channels, layout, dtype):
    input = LAYOUTS[layout](images((37, channels, 29, 30), dtype, special=False))
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append([ops.max_pool2d(input, 3, 2, 1, activation=name) for name in ("relu", "softplus")])
    finally:
        torch.set_num_threads(threads)
    for others in results[1:]:
        assert all(torch.equal(ours, first) for ours, first in zip(others, results[0], strict=True))


# --- transforms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("activation", [0, 1, 2])
def test_opcheck(activation, layout, dtype):
    for shape in ((2, 5, 9, 11), (2, 5, 3, 3), (0, 5, 9, 11), (2, 1, 9, 11)):
        input = LAYOUTS[layout](images(shape, dtype, special=False))
        torch.library.opcheck(OPERATOR, (input, [3, 2], [2, 1], [1, 0], True, activation))
        if shape[0]:
            torch.library.opcheck(OPERATOR, (input[0], [3, 2], [2, 1], [1, 0], False, activation))


@pytest.mark.parametrize("kernel", range(1, 6))
@pytest.mark.parametrize("stride", range(1, 5))
def test_pooled_size_is_that_of_torch(kernel, stride):
    for size in range(1, 12):
        for padding in range(kernel // 2 + 1):
            for ceil_mode in (False, True):
                (ours,) = pooled_size([size], [kernel], [stride], [padding], ceil_mode)
                input = torch.zeros(1, 1, 1, size)
                window = {"kernel_size": (1, kernel), "stride": (1, stride), "padding": (0, padding)}
                expected = pooled_or_none(input, window | {"ceil_mode": ceil_mode})
                assert max(ours, 0) == (0 if expected is None else expected.shape[-1])
                if expected is not None:
                    assert ops.max_pool2d(input, **window, ceil_mode=ceil_mode).shape == expected.shape


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("dim", [0, 1])
def test_vmap(dim, layout):
    input = LAYOUTS[layout](images((3, 4, 9, 11), torch.float32, special=False))
    looped = torch.stack([ops.max_pool2d(x, 3, 2, activation="softplus") for x in input])
    assert torch.equal(torch.vmap(lambda x: ops.max_pool2d(x, 3, 2, activation="softplus"))(input), looped)
    batches = torch.stack([input, input - 1], dim)
    looped = torch.stack([ops.max_pool2d(x, 2, activation="relu") for x in batches.unbind(dim)])
    assert torch.equal(torch.vmap(lambda x: ops.max_pool2d(x, 2, activation="relu"), dim)(batches), looped)


def test_compile():
    def function(x):
        return ops.max_pool2d(x.sin(), 3, 2, 1, activation="relu") + 1

    input = images((2, 20, 9, 11), torch.float32, special=False)
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    with torch.no_grad():
        for x in (input, input[:, :, :7], LAYOUTS["channels_last"](input)):
            assert torch.equal(compiled(x), function(x))


# --- what is refused --------------------------------------------------------------------------------------------------


def test_there_is_no_gradient():
    input = images((2, 5, 9, 11), torch.float32, special=False).requires_grad_()
    with pytest.raises(RuntimeError, match=r"^max_pool2d: argument 'input' requires a gradient, and there is none"):
        ops.max_pool2d(input, 2)
    with pytest.raises(RuntimeError, match=r"max_pool2d_activation.*no derivative.*torch.no_grad"):
        OPERATOR(input, [2, 2], [2, 2], [0, 0], False, 0)
    with pytest.raises(RuntimeError, match="requires a gradient"):
        torch.func.grad(lambda x: ops.max_pool2d(x, 2).sum())(input.detach())
    with pytest.raises(NotImplementedError, match="forward-mode"):
        torch.func.jvp(lambda x: ops.max_pool2d(x, 2), (input.detach(),), (input.detach(),))
    with torch.no_grad():
        assert torch.equal(ops.max_pool2d(input, 2), functional.max_pool2d(input, 2))
    assert not ops.max_pool2d(input.detach(), 2).requires_grad


X = torch.randn(2, 3, 8, 9)
BAD = {
    "padding": ({"padding": 2}, ValueError, r"'padding' must be at most half of the kernel size \(3, 3\), got 2"),
    "one padding": ({"padding": (1, 2)}, ValueError, r"'padding' must be at most half .*got \(1, 2\)"),
    "negative padding": ({"padding": -1}, ValueError, "'padding' must be at least 0, got -1"),
    "kernel size": ({"kernel_size": 0}, ValueError, "'kernel_size' must be at least 1, got 0"),
    "three sizes": ({"kernel_size": (2, 2, 2)}, ValueError, "'kernel_size' must be an int or a tuple of 2 ints"),
    "float size": ({"kernel_size": 2.0}, TypeError, "'kernel_size' must be an int or a tuple of 2 ints, got 2.0"),
    "stride": ({"stride": (1, 0)}, ValueError, r"'stride' must be at least 1, got \(1, 0\)"),
    "large stride": ({"stride": 2**31}, ValueError, r"'stride' must be less than 2\*\*31, got 2147483648"),
    "large": ({"kernel_size": (9, 1)}, ValueError, r"'input' must be large enough for a window of \(9, 1\)"),
    "activation": ({"activation": "gelu"}, ValueError, "'activation' must be one of 'none', 'relu', 'softplus', got"),
    "ceil mode": ({"ceil_mode": 1}, TypeError, "'ceil_mode' must be a bool, got int"),
    "dims": ({"input": X[0, 0]}, ValueError, r"'input' must be of shape \[N, C, H, W\] or \[C, H, W\]"),
    "five dims": ({"input": X[None]}, ValueError, r"'input' must be of shape .*got shape \(1, 2, 3, 8, 9\)"),
    "no channels": ({"input": X[:, :0]}, ValueError, r"'input' must be .*only N zero, got shape \(2, 0, 8, 9\)"),
    "no rows": ({"input": X[0:0, :, :0]}, ValueError, r"'input' must be .*only N zero, got shape \(0, 3, 0, 9\)"),
    "dtype": ({"input": X.int()}, TypeError, "'input' must be float32"),
    "no tensor": ({"input": 3}, TypeError, "'input' must be a tensor, got int"),
}


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", BAD, ids=str)
def test_errors(case):
    bad, error, message = BAD[case]
    with pytest.raises(error, match=f"^max_pool2d: argument {message}"):
        ops.max_pool2d(**{"input": X, "kernel_size": 3, **bad})


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (X, [2], [2, 2], [0, 0], False, 0),
            r"kernel_size must be two numbers of at least 1 and less.*not \[2\]",
        ),
        (
            (X, [2, 2], [2, 0], [0, 0], False, 0),
            r"stride must be two numbers of at least 1 and less.*not \[2, 0\]",
        ),
        (
            (X, [2, 2], [2, 2], [0, -1], False, 0),
            r"padding must be two numbers of at least 0 and less.*not \[0, -1\]",
        ),
        ((X, [2**62, 2], [2, 2], [2**61, 0], False, 0), r"kernel_size must be two numbers .* less than 2\^31, not"),
        ((X, [3, 3], [2, 2], [2, 0], False, 0), r"padding must be at most half of kernel_size \[3, 3\], not \[2, 0\]"),
        ((X, [2, 2], [2, 2], [0, 0], False, 3), "activation must be 0"),
        ((X, [9, 9], [2, 2], [0, 0], False, 0), r"input of shape \[2, 3, 8, 9\] is too small for kernel_size \[9, 9\]"),
        ((X[0, 0], [2, 2], [2, 2], [0, 0], False, 0), r"input must have shape \[N, C, H, W\] or \[C, H, W\]"),
        ((X[:, :0], [2, 2], [2, 2], [0, 0], False, 0), r"nothing but N zero, not \[2, 0, 8, 9\]"),
        ((X.half(), [2, 2], [2, 2], [0, 0], False, 0), "input is float16, which runs on CUDA only"),
    ],
)
def test_errors_of_the_native_operator(arguments, message):
    with pytest.raises(RuntimeError, match=f"max_pool2d_activation: .*{message}"):
        OPERATOR(*arguments)
