"""The convolutions with an epilogue: their plain operators, and torch's operations after them."""

import pytest
import torch
from torch import Tensor

import bayesops as bo
from bayesops.ops import fused
from bayesops.ops._cuda_composites import COMPOSITES
from bayesops.ops.fused import Epilogue
from bayesops.reference import fused as reference
from bayesops.reference.masked_conv import mask_shape

SEEDS = torch.tensor([3, -8, 2**62 + 5])
FAMILIES = ("masked", "sampled", "flipout", "lrt")
SHARINGS = ("one-draw", "shared-input", "input-per-sample")
GRANULARITIES = ("weight", "kernel", "in_channel", "out_channel", "channel")

# The ways a tile is formed and stored: several tiles and slabs, groups, one channel at a time, no pixels, three axes.
few_problems = pytest.mark.parametrize(
    "problem", ["linear-wide", "1d-stride", "2d-groups", "2d-depthwise", "2d-blocks", "3d"], indirect=True
)


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(params=SHARINGS)
def sharing(request):
    return request.param


class Case:
    """A convolution of one family, with all that it is called with but the epilogue."""

    def __init__(self, family, problem, sharing="shared-input", dtype=torch.float32, **options):
        self.family, self.problem, self.dtype = family, problem, dtype
        lead = (3, 2) if sharing == "input-per-sample" else (2,)
        self.input, weight, bias = problem.tensors(dtype, lead)
        self.parameters: list[Tensor] = [weight, bias]
        if family != "masked":
            spread = [torch.rand_like(t) * 0.3 for t in (weight, bias)]
            if family != "lrt":
                spread = [s - 2 for s in spread]
            self.parameters = [weight, spread[0], bias, spread[1]]
        self.options = {"seed": SEEDS[0] if sharing == "one-draw" else SEEDS, "stream": 7, **problem.options, **options}
        if family == "masked":
            self.options.setdefault("p", 0.3)

    def plain(self, input=None):
        name = f"{self.family}_conv{self.problem.spatial}d" if self.problem.spatial else f"{self.family}_linear"
        return getattr(bo.ops, name)(self.input if input is None else input, *self.parameters, **self.options)

    def fused(self, epilogue, input=None):
        operator = getattr(fused, f"{self.family}_conv_fused")
        return operator(
            self.input if input is None else input, *self.parameters, epilogue=epilogue, **self.options
        )  # fmt: skip

    def reference(self, epilogue, dtype):
        arguments = [t.to(dtype) for t in (self.input, *self.parameters)]
        epilogue = Epilogue(*[t.to(dtype) if isinstance(t, Tensor) else t for t in epilogue])
        return getattr(reference, f"{self.family}_conv_fused")(*arguments, epilogue=epilogue, **self.options)

    def epilogue(self, residual="per-sample", relu=True):
        """All parts; the residual of the output's shape, or shared by all samples."""
        channels, shape = self.problem.weight[0], self.plain().shape
        shape = shape[len(shape) - self.problem.spatial - 2 :] if residual == "shared" else shape
        scale, shift = torch.rand(channels) + 0.5, torch.randn(channels)
        return Epilogue(scale.to(self.dtype), shift.to(self.dtype), torch.randn(shape).to(self.dtype), relu)


def check(compare, case, epilogue, input=None):
    ours = case.fused(epilogue, input)
    compare(ours, case.reference(epilogue, case.dtype), case.reference(epilogue, torch.float64))
    return ours


def test_matches_reference(family, problem, sharing, layout, assert_as_exact_as_torch):
    case = Case(family, problem, sharing)
    input = layout(case.input, problem.spatial)
    for residual in ("shared", "per-sample"):
        output = check(assert_as_exact_as_torch, case, case.epilogue(residual), input)
        assert output.stride() == case.plain(input).stride()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_dtypes(family, problem, dtype, layout, assert_as_exact_as_torch):
    case = Case(family, problem, "input-per-sample", dtype)
    for residual in ("shared", "per-sample"):
        check(assert_as_exact_as_torch, case, case.epilogue(residual), layout(case.input, problem.spatial))


@pytest.mark.parametrize("problem", ["linear", "2d-groups", "2d-depthwise"], indirect=True)
@pytest.mark.parametrize("parts", range(16))
def test_each_part(family, problem, sharing, parts, assert_as_exact_as_torch):
    case = Case(family, problem, sharing)
    chosen = [part if parts >> i & 1 else None for i, part in enumerate(case.epilogue()[:3])]
    check(assert_as_exact_as_torch, case, Epilogue(*chosen, relu=bool(parts & 8)))


@few_problems
@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_masks_that_leave_channels_out(
    problem, granularity, per_example, sharing, layout, assert_as_exact_as_torch
):  # fmt: skip
    """A channel that is switched off is its bias, and that has an epilogue, too."""
    case = Case("masked", problem, sharing, p=0.6, granularity=granularity, per_example=per_example)
    for residual in ("shared", "per-sample"):
        check(assert_as_exact_as_torch, case, case.epilogue(residual), layout(case.input, problem.spatial))


@few_problems
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_nothing_is_kept(problem, granularity, layout):
    base = mask_shape(torch.empty(problem.weight), granularity, problem.options.get("groups", 1))
    case = Case("masked", problem, granularity=granularity, mask=torch.zeros(base, dtype=torch.bool))
    scale, shift, residual, _ = epilogue = case.epilogue()
    channels = (-1, *[1] * problem.spatial)
    bias = case.parameters[1].view(channels)
    expected = (bias * scale.view(channels) + shift.view(channels) + residual).relu()
    torch.testing.assert_close(case.fused(epilogue, layout(case.input, problem.spatial)), expected)


@few_problems
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_nothing_to_do_leaves_the_bits(family, problem, sharing, dtype, layout):
    case = Case(family, problem, sharing, dtype)
    input = layout(case.input, problem.spatial)
    assert torch.equal(case.fused(Epilogue(), input), case.plain(input))


@few_problems
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_one_operation_has_the_bits_of_torchs(family, problem, sharing, dtype, layout):
    """Each part by itself is one rounding; a scale of 1, a shift of 0 and a residual of 0 are none."""
    case = Case(family, problem, sharing, dtype, **({"granularity": "channel"} if family == "masked" else {}))
    input, channels = layout(case.input, problem.spatial), (-1, *[1] * problem.spatial)
    plain, (scale, shift, residual, _) = case.plain(input), case.epilogue()
    assert torch.equal(case.fused(Epilogue(scale=scale), input), plain * scale.view(channels))
    assert torch.equal(case.fused(Epilogue(shift=shift), input), plain + shift.view(channels))
    assert torch.equal(case.fused(Epilogue(residual=residual), input), plain + residual)
    assert torch.equal(case.fused(Epilogue(relu=True), input), plain.relu())
    nothing = Epilogue(torch.ones_like(scale), torch.zeros_like(shift), torch.zeros_like(residual))
    assert torch.equal(case.fused(nothing, input), plain)


@pytest.mark.cpu_only
@few_problems
@pytest.mark.parametrize("family", ["masked", "lrt"], indirect=True)
def test_is_rounded_once(family, problem, sharing, layout):
    """The epilogue of bfloat16 is float32's: the residual is read as it is, the result is rounded at last.

    Of whole numbers, whose squares and sums are exact in either.
    """
    case = Case(family, problem, sharing, torch.bfloat16)
    case.input, case.parameters = case.input.round(), [(8 * t).ceil() for t in case.parameters]
    epilogue, input = case.epilogue(), layout(case.input, problem.spatial)
    rounded = case.fused(epilogue, input)
    wide = Case(family, problem, sharing)
    wide.parameters = [t.float() for t in case.parameters]
    epilogue = Epilogue(*[t.float() if isinstance(t, Tensor) else t for t in epilogue])
    assert torch.equal(rounded, wide.fused(epilogue, input.float()).bfloat16())


@few_problems
def test_relu_keeps_what_is_not_a_number(family, problem, layout):
    case = Case(family, problem)
    scale, shift, residual, _ = case.epilogue()
    shift[0], residual.view(-1)[-1] = float("nan"), float("nan")
    output = case.fused(Epilogue(scale, shift, residual, True), layout(case.input, problem.spatial))
    expected = torch.zeros(output.shape, dtype=torch.bool)
    expected.view(-1)[-1] = True
    expected.select(-problem.spatial - 1, 0)[:] = True
    assert torch.equal(output.isnan(), expected)


@few_problems
def test_residual_of_any_layout(family, problem, sharing, layout):
    case = Case(family, problem, sharing)
    for residual in ("shared", "per-sample"):
        epilogue = case.epilogue(residual)
        laid_out = epilogue._replace(residual=layout(epilogue.residual, problem.spatial))
        assert torch.equal(case.fused(laid_out), case.fused(epilogue))


def test_samples_are_single_draws(family, problem):
    """The samples of one call are what each seed gives by itself, with its own residual or the shared one."""
    case = Case(family, problem, "input-per-sample")
    for kind in ("shared", "per-sample"):
        epilogue = case.epilogue(kind)
        together = case.fused(epilogue)
        for i, seed in enumerate(SEEDS):
            alone = Case(family, problem, "one-draw")
            alone.parameters = case.parameters
            alone.options = {**case.options, "seed": seed}
            own = epilogue.residual if kind == "shared" else epilogue.residual[i]
            torch.testing.assert_close(together[i], alone.fused(epilogue._replace(residual=own), case.input[i]))


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("problem", ["linear-wide", "2d-groups", "2d-blocks"], indirect=True)
def test_threads_do_not_show(family, problem, sharing, dtype, layout):
    case = Case(family, problem, sharing, dtype)
    epilogue, input = case.epilogue("shared"), layout(case.input, problem.spatial)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(case.fused(epilogue, input))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("lead", [(0,), (0, 2), (3, 0)], ids=str)
def test_no_examples_or_no_samples(family, problem, lead):
    case = Case(family, problem)
    case.input = problem.tensors(lead=lead)[0]
    if len(lead) == 2:
        case.options["seed"] = SEEDS[: lead[0]]
    output = case.fused(case.epilogue())
    assert output.shape == case.plain().shape
    assert output.numel() == 0


def test_nothing_to_sum(family, layout):
    """No input channels: the result is the bias (and its noise), and the epilogue follows."""
    weight = torch.empty(6, 0, 3, 3)
    parameters = [weight, torch.randn(6)] if family == "masked" else [weight, weight, torch.randn(6), torch.rand(6)]
    options = {"seed": SEEDS, **({"p": 0.3} if family == "masked" else {})}
    input = torch.empty(2, 0, 5, 5)
    plain = getattr(bo.ops, f"{family}_conv2d")(input, *parameters, **options)
    epilogue = Epilogue(torch.rand(6), torch.randn(6), layout(torch.randn(3, 2, 6, 3, 3), 2), True)
    output = getattr(fused, f"{family}_conv_fused")(input, *parameters, epilogue=epilogue, **options)
    torch.testing.assert_close(output, reference.finish(plain, epilogue, 2))
    assert output.count_nonzero() > 0


def test_linear_takes_leading_dimensions(family):
    weight = torch.randn(3, 7)
    parameters = [weight] if family == "masked" else [weight, torch.rand(3, 7)]
    options = {"p": 0.2} if family == "masked" else {}
    operator = getattr(fused, f"{family}_conv_fused")
    input, residual = torch.randn(2, 4, 5, 7), torch.randn(2, 4, 5, 3)

    def run(input, residual, seed):
        return operator(input, *parameters, epilogue=Epilogue(residual=residual, relu=True), seed=seed, **options)

    rows = run(input.reshape(-1, 7), residual.reshape(-1, 3), 5)
    assert torch.equal(run(input, residual, 5), rows.reshape(2, 4, 5, 3))
    samples = run(input, residual, SEEDS[:2])  # the first dimension is the sample
    torch.testing.assert_close(samples[1], run(input[1], residual[1], SEEDS[1]))
    shared = run(input, residual[0], SEEDS[:2])
    torch.testing.assert_close(shared[1], run(input[1], residual[0], SEEDS[1]))


# --- PyTorch's transforms ---------------------------------------------------------------------------------------------


def native(case, epilogue):
    """The operator and its arguments, as the public function passes them."""
    geometry, stream, seed = case.problem.geometry(), case.options["stream"], case.options["seed"]
    parameters = list(case.parameters)
    if case.family == "masked":
        arguments = [case.input, *parameters, seed, None, case.options["p"], 0, True, False, stream, *geometry]
    elif case.family == "lrt":
        arguments = [case.input, *parameters, seed, stream, *geometry]
    else:
        arguments = [case.input, parameters[0], parameters[1].exp(), parameters[2], seed, stream, *geometry]
    return getattr(torch.ops.bayesops, f"{case.family}_conv_fused").default, (*arguments, *epilogue)


# Enough to meet each shape rule; opcheck takes a second a case.
@pytest.mark.parametrize("problem", ["linear", "1d-stride", "2d-same-even"], indirect=True)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"], indirect=True)
@pytest.mark.parametrize("sharing", ["shared-input", "input-per-sample"], indirect=True)
def test_opcheck(family, problem, sharing, layout):
    case = Case(family, problem, sharing)
    case.input = layout(case.input, problem.spatial)
    torch.library.opcheck(*native(case, case.epilogue()))
    torch.library.opcheck(*native(case, Epilogue(relu=True)))


@pytest.mark.cpu_only
@few_problems
def test_composite(family, problem, sharing, layout):
    """What CUDA runs, here on the CPU."""
    case = Case(family, problem, sharing, torch.float64)
    case.input = layout(case.input, problem.spatial)
    operator, arguments = native(case, case.epilogue("shared"))
    output, expected = COMPOSITES[f"{family}_conv_fused"](*arguments), operator(*arguments)
    torch.testing.assert_close(output, expected)
    assert output.stride() == expected.stride()


@pytest.mark.parametrize("problem", ["linear", "2d"], indirect=True)
def test_there_is_no_derivative(family, problem, device):
    case = Case(family, problem)
    epilogue = case.epilogue()
    expected = case.fused(epilogue)
    for leaf in (case.input, case.parameters[0], epilogue.scale, epilogue.residual):
        leaf.requires_grad_()
        with pytest.raises(RuntimeError, match=rf"{family}_conv_fused.*for prediction and has no derivative"):
            case.fused(epilogue)
        rounding = {} if device == "cuda" else {"rtol": 0, "atol": 0}  # torch.matmul folds by what requires a gradient
        with torch.no_grad():
            torch.testing.assert_close(case.fused(epilogue), expected, **rounding)
        leaf.requires_grad_(False)
    with pytest.raises(NotImplementedError, match="forward-mode"):
        torch.func.jvp(lambda x: case.fused(epilogue, x), (case.input,), (case.input,))


@pytest.mark.parametrize("problem", ["linear", "2d"], indirect=True)
def test_autocast(family, problem, device):
    case, narrow = Case(family, problem), Case(family, problem, dtype=torch.bfloat16)
    epilogue = case.epilogue()
    narrow.input, narrow.parameters = case.input.bfloat16(), case.parameters
    with torch.autocast(device, torch.bfloat16):
        output = case.fused(epilogue)
        assert torch.equal(narrow.fused(epilogue), output)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), case.fused(epilogue), rtol=0.05, atol=0.1)


# --- errors -----------------------------------------------------------------------------------------------------------

GOOD = Epilogue(torch.rand(8), torch.rand(8), torch.rand(3, 2, 8, 9, 11))
BAD = {
    "scale shape": ({"scale": torch.rand(8, 1)}, ValueError, r"'scale' must be of shape \(8,\), got shape \(8, 1\)"),
    "scale type": ({"scale": 2.0}, TypeError, "'scale' must be a tensor, got float"),
    "scale dtype": ({"scale": torch.rand(8).double()}, TypeError, "'scale' must be of the input's dtype torch.float32"),
    "shift shape": ({"shift": torch.rand(7)}, ValueError, r"'shift' must be of shape \(8,\), got shape \(7,\)"),
    "relu": ({"relu": "yes"}, TypeError, "'relu' must be a bool, got 'yes'"),
    "residual type": ({"residual": 1}, TypeError, "'residual' must be a tensor, got int"),
    "residual dtype": ({"residual": GOOD.residual.bfloat16()}, TypeError, "'residual' must be of the input's dtype"),
    "residual that broadcasts": (
        {"residual": torch.rand(8, 9, 11)}, ValueError,
        r"'residual' must be of shape \(2, 8, 9, 11\) or \(3, 2, 8, 9, 11\), got shape \(8, 9, 11\)",
    ),
    "residual of two samples": (
        {"residual": torch.rand(2, 2, 8, 9, 11)}, ValueError, r"'residual' must be .* got shape \(2, 2, 8, 9, 11\)"
    ),
}  # fmt: skip


@pytest.mark.cpu_only
@pytest.mark.parametrize("problem", ["2d"], indirect=True)
@pytest.mark.parametrize("bad", BAD)
def test_errors(family, problem, bad):
    changes, error, message = BAD[bad]
    with pytest.raises(error, match=f"{family}_conv_fused: argument {message}"):
        Case(family, problem).fused(GOOD._replace(**changes))


@pytest.mark.cpu_only
@pytest.mark.parametrize("problem", ["2d"], indirect=True)
def test_one_draw_has_no_residual_of_samples(family, problem):
    with pytest.raises(ValueError, match=r"'residual' must be of shape \(2, 8, 9, 11\), got shape \(3, 2, 8, 9, 11\)"):
        Case(family, problem, "one-draw").fused(GOOD)


@pytest.mark.cpu_only
def test_residual_of_other_rows(family):
    weight = torch.rand(3, 7)
    parameters, options = ([weight], {"p": 0.2}) if family == "masked" else ([weight, weight], {})
    with pytest.raises(ValueError, match=r"'residual' must be of shape \[\*, O\] .* \(4, 5\), got shape \(20, 3\)"):
        getattr(fused, f"{family}_conv_fused")(
            torch.rand(4, 5, 7), *parameters, epilogue=Epilogue(residual=torch.rand(20, 3)), seed=1, **options
        )


@pytest.mark.cpu_only
@pytest.mark.parametrize("problem", ["2d"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": torch.rand(7)}, r"scale must have shape \[8\], not \[7\]"),
        ({"shift": torch.rand(8).double()}, "shift must have the dtype of the other tensors"),
        ({"residual": torch.rand(2, 8, 9, 1)}, r"residual must have shape \[3, 2, 8, 9, 11\], not \[2, 8, 9, 1\]"),
    ],
)
def test_operator_checks_for_itself(family, problem, changes, message):
    operator, arguments = native(Case(family, problem), GOOD._replace(**changes))
    with pytest.raises(RuntimeError, match=f"{family}_conv_fused: {message}"):
        operator(*arguments)
