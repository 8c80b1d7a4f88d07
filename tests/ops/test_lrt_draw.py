"""lrt_draw: its reference, the layer that it draws again, and PyTorch's operations after it."""

import pytest
import torch
from torch import Tensor

from bayesops.ops import fused
from bayesops.ops._layout import is_channels_last
from bayesops.ops._lrt_draw_rules import lrt_draw as composite
from bayesops.ops.fused import Epilogue, lrt_draw
from bayesops.reference import fused as reference

SEEDS = torch.tensor([3, -8, 2**62 + 5])
STREAM = 7
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
OPERATOR = torch.ops.bayesops.lrt_draw.default

# Tiles and blocks that are cut short, several of them, single channels and pixels, and every number of axes.
SIZES = {
    "linear": (3, 19),
    "linear-wide": (5, 330),
    "linear-one": (1, 1),
    "1d": (3, 7, 67),
    "2d": (2, 6, 28, 28),
    "2d-channels": (2, 70, 5, 13),
    "2d-aligned": (3, 64, 8, 8),
    "2d-one-channel": (2, 1, 9, 70),
    "2d-one-pixel": (5, 35, 1, 1),
    "3d": (2, 5, 3, 4, 6),
}
few_sizes = pytest.mark.parametrize("size", ["linear-wide", "2d", "2d-channels", "3d"], indirect=True)


@pytest.fixture(params=SIZES, ids=str)
def size(request):
    return SIZES[request.param]


@pytest.fixture(params=["one-draw", "samples"])
def seed(request):
    return SEEDS[0] if request.param == "one-draw" else SEEDS


def moments(size, dtype=torch.float32):
    return torch.randn(size).to(dtype), torch.rand(size).to(dtype)


def epilogue_of(size, seed, residual="per-sample", dtype=torch.float32):
    """All parts; the residual of the output's shape, or shared by all samples."""
    shape = size if residual == "shared" else (*seed.shape, *size)
    scale, shift = torch.rand(size[1]) + 0.5, torch.randn(size[1])
    return Epilogue(scale.to(dtype), shift.to(dtype), torch.randn(shape).to(dtype), True)


def exact(mean, std, epilogue, seed):
    epilogue = Epilogue(*[t.double() if isinstance(t, Tensor) else t for t in epilogue])
    return reference.lrt_draw(mean.double(), std.double(), epilogue=epilogue, seed=seed, stream=STREAM)


def draw(mean, std, epilogue, seed):
    return lrt_draw(mean, std, epilogue=epilogue, seed=seed, stream=STREAM)


@pytest.mark.parametrize("residual", ["shared", "per-sample"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_matches_reference(size, seed, layout, dtype, residual, assert_as_exact_as_torch):
    spatial = len(size) - 2
    mean, std = moments(size, dtype)
    epilogue = epilogue_of(size, seed, residual, dtype)
    plain = reference.lrt_draw(mean, std, epilogue=epilogue, seed=seed, stream=STREAM)
    output = draw(layout(mean, spatial), layout(std, spatial), epilogue, seed)
    assert_as_exact_as_torch(output, plain, exact(mean, std, epilogue, seed))


@few_sizes
@pytest.mark.parametrize("parts", range(16))
def test_each_part(size, seed, layout, parts, assert_as_exact_as_torch):
    mean, std = moments(size)
    chosen = [part if parts >> i & 1 else None for i, part in enumerate(epilogue_of(size, seed)[:3])]
    epilogue = Epilogue(*chosen, relu=bool(parts & 8))
    plain = reference.lrt_draw(mean, std, epilogue=epilogue, seed=seed, stream=STREAM)
    output = draw(layout(mean, len(size) - 2), std, epilogue, seed)
    assert_as_exact_as_torch(output, plain, exact(mean, std, epilogue, seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_draws_what_the_layer_does(problem, seed, layout, dtype):
    """From the layer's mean and standard deviation come its own results."""
    spatial = problem.spatial
    input, weight, bias = problem.tensors(dtype, (2,))
    input = layout(input, spatial)
    variance, bias_variance = torch.rand_like(weight) * 0.3, torch.rand_like(bias) * 0.3
    arguments = (input, weight, variance, bias, bias_variance)
    native = torch.ops.bayesops.lrt_conv_std.default
    mean = native(input, weight, torch.zeros_like(weight), bias, None, SEEDS[0], 0, *problem.geometry())[0]
    std = native(*arguments, SEEDS[0], 0, *problem.geometry())[1]
    for residual in ("shared", "per-sample"):
        epilogue = epilogue_of(mean.shape, seed, residual, dtype)
        layer = fused.lrt_conv_fused(*arguments, epilogue=epilogue, seed=seed, stream=STREAM, **problem.options)
        output = draw(mean, std, epilogue, seed)
        torch.testing.assert_close(output, layer)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("residual", ["shared", "per-sample"])
def test_samples_are_single_draws(size, layout, dtype, residual):
    """To the bit."""
    mean, std = (layout(t, len(size) - 2) for t in moments(size, dtype))
    epilogue = epilogue_of(size, SEEDS, residual, dtype)
    together = draw(mean, std, epilogue, SEEDS)
    for i, seed in enumerate(SEEDS):
        own = epilogue.residual if residual == "shared" else epilogue.residual[i]
        assert torch.equal(together[i], draw(mean, std, epilogue._replace(residual=own), seed))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_layout_does_not_show(size, seed, layout, dtype):
    """Whatever the layouts of mean, deviation and residual: the same bits, laid out as the mean."""
    spatial = len(size) - 2
    mean, std = moments(size, dtype)
    for residual in ("shared", "per-sample"):
        epilogue = epilogue_of(size, seed, residual, dtype)
        expected = draw(mean, std, epilogue, seed)
        laid_out = epilogue._replace(residual=layout(epilogue.residual, spatial))
        assert torch.equal(draw(mean, layout(std, spatial), laid_out, seed), expected)
        output = draw(layout(mean, spatial), std, epilogue, seed)
        assert torch.equal(output, expected)
        if is_channels_last(layout(mean, spatial), spatial):
            output = output.movedim(-spatial - 1, -1)
        assert output.is_contiguous()


@few_sizes
def test_is_rounded_once(size, seed, layout):
    """bfloat16 is computed in float32 to the end."""
    mean, std = (layout(t, len(size) - 2) for t in moments(size, torch.bfloat16))
    epilogue = epilogue_of(size, seed, dtype=torch.bfloat16)
    wide = Epilogue(*[t.float() if isinstance(t, Tensor) else t for t in epilogue])
    assert torch.equal(draw(mean, std, epilogue, seed), draw(mean.float(), std.float(), wide, seed).bfloat16())


@few_sizes
def test_nothing_to_do_leaves_the_bits(size, seed, layout):
    mean, std = (layout(t, len(size) - 2) for t in moments(size))
    channels = torch.ones(size[1])
    nothing = Epilogue(channels, 0 * channels, torch.zeros(size))
    assert torch.equal(draw(mean, std, nothing, seed), draw(mean, std, Epilogue(), seed))


@few_sizes
def test_relu_keeps_what_is_not_a_number(size, layout):
    mean, std = moments(size)
    mean.view(-1)[-1] = float("nan")
    output = draw(layout(mean, len(size) - 2), std, Epilogue(relu=True), SEEDS)
    assert torch.equal(output.isnan(), mean.isnan().expand_as(output))
    assert (output[~output.isnan()] >= 0).all()


def test_certain_results_are_the_mean(size, seed, layout):
    mean, std = moments(size)
    output = draw(layout(mean, len(size) - 2), 0 * std, Epilogue(), seed)
    assert torch.equal(output, mean.expand_as(output))


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_threads_do_not_show(size, seed, layout, dtype):
    mean, std = (layout(t, len(size) - 2) for t in moments((3 * size[0], *size[1:]), dtype))
    epilogue = epilogue_of(mean.shape, seed, "shared", dtype)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(draw(mean, std, epilogue, seed))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("size", [(0, 4), (0, 4, 5, 5), (2, 0, 5, 5), (2, 4, 0, 5), (2, 4, 5)], ids=str)
@pytest.mark.parametrize("samples", [None, 0, 2])
def test_nothing_to_draw(size, samples):
    seed = SEEDS[0] if samples is None else SEEDS[:samples]
    output = draw(*moments(size), epilogue_of(size, seed), seed)
    assert output.shape == (*seed.shape, *size)
    assert output.shape == reference.lrt_draw(*moments(size), epilogue=Epilogue(), seed=seed).shape


def test_seed_may_be_an_int():
    mean, std = moments((2, 4))
    output = lrt_draw(mean, std, epilogue=Epilogue(), seed=5)
    assert torch.equal(output, lrt_draw(mean, std, epilogue=Epilogue(), seed=torch.tensor(5)))
    assert not torch.equal(output, lrt_draw(mean, std, epilogue=Epilogue(), seed=5, stream=1))


# --- PyTorch's transforms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["linear", "1d", "2d-channels", "2d-one-pixel"], indirect=True)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"], indirect=True)
def test_opcheck(size, seed, layout):
    mean, std = (layout(t, len(size) - 2) for t in moments(size))
    torch.library.opcheck(OPERATOR, (mean, std, seed, STREAM, *epilogue_of(size, seed)))
    torch.library.opcheck(OPERATOR, (mean, std, seed, STREAM, *Epilogue(relu=True)))


@pytest.mark.cpu_only
@few_sizes
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_composite(size, seed, layout, dtype, assert_as_exact_as_torch):
    """What CUDA runs, here on the CPU."""
    mean, std = (layout(t, len(size) - 2) for t in moments(size, dtype))
    for residual in ("shared", "per-sample"):
        epilogue = epilogue_of(size, seed, residual, dtype)
        output, expected = composite(mean, std, seed, STREAM, *epilogue), draw(mean, std, epilogue, seed)
        assert_as_exact_as_torch(output, expected, exact(mean, std, epilogue, seed))
        assert output.stride() == expected.stride()


@pytest.mark.parametrize("size", ["linear", "2d-channels"], indirect=True)
def test_vmap(size):
    mean, std = moments(size)
    epilogue = epilogue_of(size, SEEDS)
    own = epilogue.residual
    shared = epilogue._replace(residual=own[0])
    expected = draw(mean, std, epilogue, SEEDS)
    assert torch.equal(torch.vmap(lambda s: draw(mean, std, shared, s))(SEEDS), draw(mean, std, shared, SEEDS))
    mapped = torch.vmap(lambda s, r: draw(mean, std, epilogue._replace(residual=r), s), (0, 1))
    assert torch.equal(mapped(SEEDS, own.transpose(0, 1)), expected)
    one_seed = torch.vmap(lambda r: draw(mean, std, epilogue._replace(residual=r), SEEDS[0]))(own)
    assert torch.equal(one_seed[0], expected[0])
    means = torch.stack([mean, mean + 1, mean - 1])
    mapped = torch.vmap(lambda m, s: draw(m, std, shared, s))(means, SEEDS)
    assert torch.equal(mapped, torch.stack([draw(m, std, shared, s) for m, s in zip(means, SEEDS, strict=True)]))


@pytest.mark.slow
def test_compile_and_export():
    class Draw(torch.nn.Module):
        def forward(self, mean: Tensor, std: Tensor, seed: Tensor) -> Tensor:
            return lrt_draw(mean, std, epilogue=Epilogue(relu=True), seed=seed, stream=STREAM) + 1

    arguments = (*moments((2, 6, 5, 5)), SEEDS)
    expected = Draw()(*arguments)
    assert torch.equal(torch.compile(Draw(), fullgraph=True, backend="aot_eager")(*arguments), expected)
    assert torch.equal(torch.export.export(Draw(), arguments).module()(*arguments), expected)


def test_there_is_no_derivative():
    mean, std = moments((2, 6, 5, 5))
    epilogue = epilogue_of(mean.shape, SEEDS)
    expected = draw(mean, std, epilogue, SEEDS)
    for leaf in (mean, std, epilogue.scale, epilogue.residual):
        leaf.requires_grad_()
        with pytest.raises(RuntimeError, match=r"lrt_draw.*for prediction and has no derivative"):
            draw(mean, std, epilogue, SEEDS)
        with torch.no_grad():
            assert torch.equal(draw(mean, std, epilogue, SEEDS), expected)
        leaf.requires_grad_(False)
    with pytest.raises(NotImplementedError, match="forward-mode"):
        torch.func.jvp(lambda m: draw(m, std, epilogue, SEEDS), (mean,), (mean,))


def test_autocast(device):
    size = (2, 6, 5, 5)
    mean, std = moments(size)
    epilogue = epilogue_of(size, SEEDS)
    narrow = Epilogue(*[t.bfloat16() if isinstance(t, Tensor) else t for t in epilogue])
    expected = draw(mean.bfloat16(), std.bfloat16(), narrow, SEEDS)
    with torch.autocast(device, torch.bfloat16):
        assert torch.equal(draw(mean, std, epilogue, SEEDS), expected)
        assert torch.equal(draw(mean.bfloat16(), std, epilogue, SEEDS), expected)
        assert draw(mean.double(), std.double(), Epilogue(), SEEDS).dtype == torch.float64


# --- errors -----------------------------------------------------------------------------------------------------------

GOOD = {"mean": torch.rand(2, 8, 9, 11), "std": torch.rand(2, 8, 9, 11), "seed": SEEDS, "epilogue": Epilogue()}
BAD = {
    "mean type": ({"mean": 1.0}, TypeError, "'mean' must be a tensor, got float"),
    "mean dtype": ({"mean": torch.ones(2, 8).int()}, TypeError, r"'mean' must be float32, .* got torch\.int32"),
    "mean dims": ({"mean": torch.rand(8)}, ValueError, r"'mean' must be of shape \[N, O, \*\] .* got shape \(8,\)"),
    "mean dims, many": ({"mean": torch.rand(1, 1, 1, 1, 1, 1)}, ValueError, r"'mean' must be of shape \[N, O, \*\]"),
    "std type": ({"std": None}, TypeError, "'std' must be a tensor, got NoneType"),
    "std dtype": ({"std": GOOD["std"].double()}, TypeError, "'std' must be of the input's dtype torch.float32"),
    "std shape": (
        {"std": torch.rand(2, 8, 9, 1)}, ValueError,
        r"'std' must be of shape \(2, 8, 9, 11\), got shape \(2, 8, 9, 1\)",
    ),
    "seed dtype": ({"seed": SEEDS.int()}, TypeError, r"'seed' must be an int or an int64 tensor, got torch\.int32"),
    "seed shape": ({"seed": SEEDS[None]}, ValueError, r"'seed' must be .* of shape \[\] or \[S\], got shape \(1, 3\)"),
    "stream": ({"stream": -1}, ValueError, r"'stream' must be in \[0, 2\*\*32\), got -1"),
    "scale": (
        {"epilogue": Epilogue(scale=torch.rand(7))}, ValueError, r"'scale' must be of shape \(8,\), got shape \(7,\)"
    ),
    "shift": ({"epilogue": Epilogue(shift=torch.rand(8).double())}, TypeError, "'shift' must be of the input's dtype"),
    "relu": ({"epilogue": Epilogue(relu=1)}, TypeError, "'relu' must be a bool, got 1"),
    "residual": (
        {"epilogue": Epilogue(residual=torch.rand(2, 2, 8, 9, 11))}, ValueError,
        r"'residual' must be of shape \(2, 8, 9, 11\) or \(3, 2, 8, 9, 11\), got shape \(2, 2, 8, 9, 11\)",
    ),
    "residual of one draw": (
        {"epilogue": Epilogue(residual=torch.rand(3, 2, 8, 9, 11)), "seed": 1}, ValueError,
        r"'residual' must be of shape \(2, 8, 9, 11\), got shape \(3, 2, 8, 9, 11\)",
    ),
}  # fmt: skip


@pytest.mark.cpu_only
@pytest.mark.parametrize("bad", BAD)
def test_errors(bad):
    changes, error, message = BAD[bad]
    with pytest.raises(error, match=f"^lrt_draw: argument {message}"):
        lrt_draw(**{**GOOD, **changes})


@pytest.mark.cpu_only
def test_float16_has_no_cpu_kernel():
    with pytest.raises(RuntimeError, match="lrt_draw: mean is float16, which runs on CUDA only"):
        lrt_draw(GOOD["mean"].half(), GOOD["std"].half(), epilogue=Epilogue(), seed=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({0: torch.rand(8)}, r"mean must have 2 to 5 dimensions, not shape \[8\]"),
        ({1: torch.rand(2, 8)}, r"std must have shape \[2, 8, 9, 11\], not \[2, 8\]"),
        ({1: GOOD["std"].double()}, "std must have the dtype of the other tensors"),
        ({2: SEEDS[None]}, r"seed must have shape \[\] or \[S\], not \[1, 3\]"),
        ({3: -1}, r"stream must be in \[0, 2\^32\), not -1"),
        ({4: torch.rand(7)}, r"scale must have shape \[8\], not \[7\]"),
        ({6: torch.rand(2, 8, 9, 1)}, r"residual must have shape \[3, 2, 8, 9, 11\], not \[2, 8, 9, 1\]"),
    ],
)
def test_operator_checks_for_itself(changes, message):
    arguments = [GOOD["mean"], GOOD["std"], SEEDS, STREAM, *Epilogue()]
    for i, value in changes.items():
        arguments[i] = value
    with pytest.raises(RuntimeError, match=f"lrt_draw: {message}"):
        OPERATOR(*arguments)
