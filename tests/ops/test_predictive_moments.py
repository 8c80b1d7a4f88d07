import itertools
import math

import pytest
import torch

from bayesops import ops
from bayesops.reference.predictive_moments import add_predictive_moments

OPERATOR = torch.ops.bayesops.add_predictive_moments.default
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
# A draw: without a batch; of few classes, many and one; of many pixels, few, an uneven number, and more axes of them.
SHAPES = [
    (10,),
    (1, 10),
    (1, 1000),
    (33, 10),
    (40, 70),
    (5, 300),
    (6, 1),
    (2, 11, 18, 24),
    (3, 5, 1, 7),
    (40, 4, 3),
    (2, 1, 5),
    (2, 300, 3, 3),
    (2, 3, 2, 5, 6),
    (0, 10),
    (2, 3, 0),
]


def compute_of(dtype):
    return torch.float64 if dtype == torch.float64 else torch.float32


def contiguous(tensor, dim):
    return tensor.contiguous()


def classes_last(tensor, dim):
    return tensor.movedim(dim, -1).contiguous().movedim(-1, dim)


def strided(tensor, dim):
    """Every other element of each dimension of a larger tensor."""
    large = tensor.new_zeros([2 * size + 1 for size in tensor.shape])
    view = large[tuple(slice(1, None, 2) for _ in tensor.shape)]
    return view.copy_(tensor)


def turned(tensor, dim):
    return tensor.permute(*reversed(range(tensor.dim()))).contiguous().permute(*reversed(range(tensor.dim())))


LAYOUTS = {f.__name__: f for f in (contiguous, classes_last, strided, turned)}


def state_of(shape, dtype, softmax, layout=contiguous, fill=math.nan):
    """Mean, deviations and, with softmax, entropy; what is there before the first draw must not matter."""
    state = {name: layout(torch.full(shape, fill, dtype=dtype), min(1, len(shape) - 1)) for name in RESULTS[:2]}
    if softmax:
        places = [size for dim, size in enumerate(shape) if dim != min(1, len(shape) - 1)]
        entropy = torch.full(places, fill, dtype=dtype)
        state["expected_entropy"] = entropy if layout is classes_last else layout(entropy, 0)
    return state


RESULTS = ("mean", "deviations", "expected_entropy")


def added(function, chunks, state, softmax=True):
    count = 0
    for chunk in chunks:
        assert function(chunk, softmax=softmax, count=count, **state) is None
        count += len(chunk)
    return tuple(state.values())


def moments(function, draws, cuts=(), softmax=True, dtype=None, layout=contiguous):
    chunks = torch.tensor_split(draws, tuple(cuts))
    return added(
        function, chunks, state_of(draws.shape[1:], dtype or compute_of(draws.dtype), softmax, layout), softmax
    )


def exact_moments(draws, softmax=True):
    return moments(add_predictive_moments, draws.double(), (), softmax)


def plain_moments(draws, softmax=True):
    """What a user would write in PyTorch, in the dtype that we accumulate in."""
    draws = draws.to(compute_of(draws.dtype))
    if not softmax:
        return draws.mean(0), (draws - draws.mean(0)).square().sum(0)
    dim = min(2, draws.dim() - 1)
    log = draws.log_softmax(dim)
    p = log.exp()
    return p.mean(0), (p - p.mean(0)).square().sum(0), -(p * log).sum(dim).mean(0)


# --- values -----------------------------------------------------------------------------------------------------------


def test_reference_is_the_moments_of_all_draws():
    draws = torch.randn(23, 3, 5, 4, dtype=torch.float64)
    mean, deviations, entropy = moments(add_predictive_moments, draws, (1, 8, 8, 20))
    p = draws.softmax(2)
    torch.testing.assert_close(mean, p.mean(0))
    torch.testing.assert_close(deviations / 23, p.var(0, correction=0))
    torch.testing.assert_close(entropy, torch.distributions.Categorical(p.movedim(2, -1)).entropy().mean(0))
    mean, deviations = moments(add_predictive_moments, draws, (1, 8, 8, 20), softmax=False)
    torch.testing.assert_close(mean, draws.mean(0))
    torch.testing.assert_close(deviations / 23, draws.var(0, correction=0))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_reference(shape, softmax, dtype, assert_as_exact_as_torch):
    """For chunks of one draw, of a few, and of more than are worked on together."""
    # Around 3, not 0: errors are held against the size of the mean, and they go by that of the draws.
    draws = (3 + torch.randn(40, *shape)).to(dtype)
    exact, plain = exact_moments(draws, softmax), plain_moments(draws, softmax)
    for cuts in ((), (3,), (1, 2, 9, 35)):
        for ours, theirs, true in zip(
            moments(ops.add_predictive_moments, draws, cuts, softmax), plain, exact, strict=True
        ):
            if dtype == torch.float64:  # the reference is rounded as we are, in another order
                torch.testing.assert_close(ours, true, rtol=1e-13, atol=1e-15)
            else:
                assert_as_exact_as_torch(ours, theirs, true)


@pytest.mark.parametrize("results", LAYOUTS)
@pytest.mark.parametrize("samples", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(33, 10), (2, 11, 6, 24), (3, 40, 1, 5)], ids=str)
def test_layouts(shape, dtype, samples, results, assert_as_exact_as_torch):
    draws = (3 + torch.randn(11, *shape)).to(dtype)
    for softmax in (True, False):
        exact, plain = exact_moments(draws, softmax), plain_moments(draws, softmax)
        laid_out = LAYOUTS[samples](draws, 2)
        ours = moments(ops.add_predictive_moments, laid_out, (4,), softmax, layout=LAYOUTS[results])
        for a, theirs, true in zip(ours, plain, exact, strict=True):
            assert_as_exact_as_torch(a, theirs, true)


def test_draws_and_places_that_share_memory(assert_as_exact_as_torch):
    for draws in (torch.randn(10).expand(4, 3, 10), torch.randn(4, 1, 10, 1).expand(4, 3, 10, 40)):
        ours = moments(ops.add_predictive_moments, draws, (3,))
        for a, theirs, true in zip(ours, plain_moments(draws), exact_moments(draws), strict=True):
            assert_as_exact_as_torch(a, theirs, true)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_random_chunks(dtype, assert_as_exact_as_torch):
    draws = (2 * torch.randn(64, 9, 13)).to(dtype)
    exact, plain = exact_moments(draws), plain_moments(draws)
    for _ in range(20):
        cuts = torch.randint(0, 65, [int(torch.randint(0, 12, []))]).sort().values.tolist()  # empty chunks, too
        for ours, theirs, true in zip(moments(ops.add_predictive_moments, draws, cuts), plain, exact, strict=True):
            assert_as_exact_as_torch(ours, theirs, true)


@pytest.mark.parametrize("softmax", [False, True])
def test_scalar_draws_and_one_draw(softmax):
    draws = torch.randn(9, 7) if softmax else torch.randn(9)
    exact = exact_moments(draws, softmax)
    for ours, true in zip(moments(ops.add_predictive_moments, draws, (2,), softmax), exact, strict=True):
        torch.testing.assert_close(ours.double(), true, rtol=1e-6, atol=1e-6)
    mean, deviations, *_ = moments(ops.add_predictive_moments, draws[:1], softmax=softmax)
    torch.testing.assert_close(mean, draws[0].softmax(0) if softmax else draws[0])
    assert torch.equal(deviations, torch.zeros_like(mean))


def test_without_entropy():
    draws = torch.randn(5, 3, 10)
    expected = moments(ops.add_predictive_moments, draws)
    ours = {name: torch.full((3, 10), math.nan) for name in RESULTS[:2]}
    ops.add_predictive_moments(draws, softmax=True, count=0, **ours)
    assert torch.equal(ours["mean"], expected[0])
    assert torch.equal(ours["deviations"], expected[1])


def test_no_draws_change_nothing():
    state = state_of((3, 10), torch.float32, True)
    added(ops.add_predictive_moments, [torch.randn(4, 3, 10)], state)
    before = {name: tensor.clone() for name, tensor in state.items()}
    ops.add_predictive_moments(torch.randn(0, 3, 10), softmax=True, count=4, **state)
    assert all(torch.equal(state[name], before[name]) for name in RESULTS)


def test_mutual_information_of_members_that_disagree():
    """Two draws that are sure of different classes: everything that is not known is epistemic."""
    logits = torch.tensor([[[200.0, 0.0]], [[0.0, 200.0]]])
    mean, _, entropy = moments(ops.add_predictive_moments, logits)
    information = torch.special.entr(mean).sum(1) - entropy
    torch.testing.assert_close(information, torch.full([1], math.log(2)))
    mean, _, entropy = moments(ops.add_predictive_moments, logits[:1].expand(2, 1, 2))
    assert (torch.special.entr(mean).sum(1) - entropy).item() == 0


# --- hard numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("classes", [2, 13, 25])
def test_many_places(classes, softmax):
    """As in segmentation: a device takes these otherwise than the few of a classification."""
    draws = torch.randn(3, 2, classes, 182, 182)
    for ours, exact in zip(
        moments(ops.add_predictive_moments, draws, (1,), softmax), exact_moments(draws, softmax), strict=True
    ):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("chunk", "tolerance"), [(1000, 1e-3), (250, 1e-2), (50, 5e-2), (7, 0.25)])
def test_small_variance_about_a_large_mean(chunk, tolerance):
    """A mean that is stored in float32 is off by a twentieth of the deviation, for each chunk by another twentieth.

    E[x²] - E[x]² would have no digit.
    """
    draws = (1e4 + 1e-2 * torch.randn(1000, 500, dtype=torch.float64)).float()
    mean, deviations = moments(ops.add_predictive_moments, draws, range(chunk, 1000, chunk), softmax=False)
    exact_mean, exact_deviations = exact_moments(draws, softmax=False)
    torch.testing.assert_close(mean.double(), exact_mean, rtol=0, atol=5e-3)
    torch.testing.assert_close(deviations.double(), exact_deviations, rtol=tolerance, atol=0)
    naive = draws.square().mean(0) - draws.mean(0).square()
    assert ((1000 * naive - exact_deviations).abs() > exact_deviations).any()


def test_ten_thousand_draws():
    draws = torch.randn(10_000, 4, 10)
    ours = moments(ops.add_predictive_moments, draws, range(13, 10_000, 13))
    for a, true in zip(ours, exact_moments(draws), strict=True):
        torch.testing.assert_close(a.double(), true, rtol=1e-5, atol=0)


# One place by itself, few places, and rows of them; few classes, and many.
@pytest.mark.parametrize("places", [1, 3, 40])
@pytest.mark.parametrize("further", [0, 200])
@pytest.mark.parametrize("layout", [contiguous, classes_last])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_extreme_logits(dtype, layout, further, places):
    inf, nan = math.inf, math.nan
    top = 6e4 if dtype == torch.float16 else 3e38
    cases = [
        ([-inf, 0.0, -inf], [0, 1, 0], 0),
        ([-inf, 0.0, 0.0], [0, 0.5, 0.5], math.log(2)),
        ([top, top, -top], [0.5, 0.5, 0], math.log(2)),
        ([-top, -top, -top], None, None),
        ([1e4, 0.0, -1e4], [1, 0, 0], 0),
        ([0.0, nan, 0.0], [nan] * 3, nan),
        ([-inf, -inf, -inf], [nan] * 3, nan),
        ([0.0, inf, 0.0], [nan] * 3, nan),
    ]
    for case, (logits, probabilities, entropy) in enumerate(cases):
        # Where there are further classes, none of them is possible.
        draws = torch.full([3, 2, 3 + further, places], -inf, dtype=dtype)
        draws[:, :, :3] = torch.randn(3, 2, 3, places).to(dtype)
        ordinary = plain_moments(draws[:, :, :3])
        at = case % places
        draws[1:, 1, :3, at] = torch.tensor(logits, dtype=dtype)
        draws[0, 1, :3, at] = draws[1, 1, :3, at]
        if probabilities is None:
            probabilities, entropy = [1 / 3] * 3, math.log(3)
        mean, deviations, entropies = moments(ops.add_predictive_moments, layout(draws, 2), (2,))
        expected = torch.tensor(probabilities, dtype=mean.dtype)
        torch.testing.assert_close(mean[1, :3, at], expected, equal_nan=True)
        torch.testing.assert_close(deviations[1, :3, at], 0 * expected, equal_nan=True)
        torch.testing.assert_close(entropies[1, at], torch.tensor(entropy, dtype=mean.dtype), equal_nan=True)
        # Its neighbours are what they are without it.
        others = torch.ones(2, places, dtype=torch.bool)
        others[1, at] = False
        plain = [t.movedim(1, -1)[others] for t in ordinary[:2]] + [ordinary[2][others]]
        ours = [t[:, :3].movedim(1, -1)[others] for t in (mean, deviations)] + [entropies[others]]
        for a, b in zip(ours, plain, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
        if further:
            impossible = torch.isnan(expected[0]).item()
            assert mean[1, 3:, at].isnan().all() if impossible else (mean[1, 3:, at] == 0).all()
            assert (mean[:, 3:].movedim(1, -1)[others] == 0).all()


def test_entropy_of_many_equal_classes():
    draws = torch.full((2, 3, 1000), -1e30)
    _, deviations, entropy = moments(ops.add_predictive_moments, draws)
    torch.testing.assert_close(entropy, torch.full([3], math.log(1000)))
    assert torch.equal(deviations, torch.zeros(3, 1000))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_draws_that_are_not_finite(value):
    draws = torch.randn(5, 70)
    draws[2, 33] = value
    mean, deviations = moments(ops.add_predictive_moments, draws, (1,), softmax=False)
    others = torch.arange(70) != 33
    assert mean[33].isnan()
    assert deviations[33].isnan()
    for ours, true in zip((mean, deviations), exact_moments(draws[:, others], softmax=False), strict=True):
        torch.testing.assert_close(ours[others].double(), true, rtol=1e-5, atol=1e-6)


# --- the machine ------------------------------------------------------------------------------------------------------


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", [contiguous, classes_last])
@pytest.mark.parametrize("shape", [(2, 11, 60, 81), (50, 1000)], ids=str)
def test_threads_do_not_show(shape, layout, dtype, threads):
    draws = layout(torch.randn(5, *shape), 2).to(dtype)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(
            [
                *moments(ops.add_predictive_moments, draws, (2,)),
                *moments(ops.add_predictive_moments, draws, (2,), softmax=False),
            ]
        )
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, results[0], strict=True))


@pytest.mark.cpu_only
def test_nothing_of_the_size_of_the_chunk_is_allocated():
    draws = torch.randn(20, 2, 11, 50, 60)
    state = state_of(draws.shape[1:], torch.float32, True, fill=0.0)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        ops.add_predictive_moments(classes_last(draws, 2), softmax=True, count=3, **state)
    allocated = [e.self_cpu_memory_usage for e in profile.events() if "predictive_moments" in e.name]
    assert allocated == [0]


# --- transforms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("softmax", "with_entropy"), [(True, True), (True, False), (False, False)])
def test_opcheck(softmax, with_entropy, dtype):
    state = state_of((2, 5, 3), compute_of(dtype), softmax, fill=0.25)
    entropy = state["expected_entropy"] if with_entropy else None
    draws = torch.randn(4, 2, 5, 3).to(dtype)
    torch.library.opcheck(OPERATOR, (draws, softmax, 2, state["mean"], state["deviations"], entropy))


def test_compile():
    draws = torch.randn(6, 3, 10)

    def run(draws):
        state = state_of((3, 10), torch.float32, True)
        for i, chunk in enumerate(draws.split(2)):
            ops.add_predictive_moments(2 * chunk, softmax=True, count=2 * i, **state)
        return state["mean"].sin(), state["deviations"], state["expected_entropy"]

    for ours, expected in zip(torch.compile(run, fullgraph=True, backend="aot_eager")(draws), run(draws), strict=True):
        assert torch.equal(ours, expected)


def test_gradients_are_refused_where_they_would_be_lost():
    state = state_of((3, 10), torch.float32, True)
    draws = torch.randn(2, 3, 10, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"'samples' requires a gradient, but there is none; use torch.no_grad"):
        ops.add_predictive_moments(draws, softmax=True, count=0, **state)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            ops.add_predictive_moments(draws, softmax=True, count=0, **state)
        torch.testing.assert_close(state["mean"], draws.detach().softmax(2).mean(0))


# --- errors -----------------------------------------------------------------------------------------------------------

X, M, E = torch.zeros(2, 3, 4, 5), torch.zeros(3, 4, 5), torch.zeros(3, 5)
NINE = torch.zeros([3] * 9)
BAD = {
    "samples": ({"samples": [1.0]}, TypeError, "'samples' must be a tensor, got list"),
    "dtype": ({"samples": X.int()}, TypeError, "'samples' must be float32, float64, bfloat16 or float16, got"),
    "no classes": (
        {"samples": X[:, 0, 0, 0]},
        ValueError,
        r"'samples' must be of shape \[S, N, C, \*\] or \[S, C\], got",
    ),
    "no draws": (
        {"samples": X[0, 0, 0, 0], "softmax": False},
        ValueError,
        r"'samples' must be of shape \[S, \*\], got",
    ),
    "empty classes": (
        {"samples": X[:, :, :0], "mean": M[:, :0], "deviations": M[:, :0]},
        ValueError,
        "'samples' must be of one class at least, got",
    ),
    "count": ({"count": 1.0}, TypeError, "'count' must be an int, got float"),
    "negative": ({"count": -1}, ValueError, "'count' must be at least 0, got -1"),
    "mean": ({"mean": M[0]}, ValueError, r"'mean' must be of shape \(3, 4, 5\), got shape \(4, 5\)"),
    "deviations": ({"deviations": None}, TypeError, "'deviations' must be a tensor, got NoneType"),
    "half": ({"mean": M.bfloat16()}, TypeError, "'mean' must be torch.float32 for samples of torch.float32, got"),
    "double": ({"samples": X.double()}, TypeError, "'mean' must be torch.float64 for samples of torch.float64, got"),
    "entropy": (
        {"expected_entropy": M},
        ValueError,
        r"'expected_entropy' must be of shape \(3, 5\), got shape \(3, 4, 5\)",
    ),
    "draws": ({"softmax": False}, ValueError, "'expected_entropy' must be None without softmax"),
    "device": ({"mean": M.to("meta")}, RuntimeError, "'mean' must be on the samples' device cpu, got meta"),
}


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", BAD)
def test_errors(case):
    bad, error, message = BAD[case]
    good = {"samples": X, "softmax": True, "count": 0, "mean": M, "deviations": M.clone(), "expected_entropy": E}
    arguments = good | bad
    with pytest.raises(error, match=f"^add_predictive_moments: argument {message}"):
        ops.add_predictive_moments(arguments.pop("samples"), **arguments)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X.int(), True, 0, M, M, E), "samples must be float32, float64, bfloat16"),
        ((X[:, 0, 0, 0], True, 0, M, M, E), r"samples must have the shape \[S, N, C, \*\] or \[S, C\], not \[2\]"),
        ((X[:, :, :0], True, 0, M[:, :0], M[:, :0], E), r"samples must have a class at least, not the shape"),
        ((X, True, -1, M, M, E), "count must not be negative, not -1"),
        ((X, True, 0, M[0], M, E), r"mean must have the shape \[3, 4, 5\], not \[4, 5\]"),
        ((X, True, 0, M, M.double(), E), "deviations must be float32 for samples of float32 and less"),
        ((X.double(), True, 0, M, M, E), "mean must be float64 for samples of float64"),
        ((X, True, 0, M, M, M), r"expected_entropy must have the shape \[3, 5\], not \[3, 4, 5\]"),
        ((X, False, 0, M, M, E), "expected_entropy is that of probabilities, so it needs softmax"),
        (
            (X, True, 0, M[:1].expand(3, 4, 5), M, E),
            "mean is written to, so it must not be expanded, as its dimension 0 is",
        ),
        (
            (strided(NINE, 0)[None].expand(2, *NINE.shape), False, 0, NINE, NINE, None),
            "lie in 9 separate runs of memory; make them contiguous",
        ),
    ],
)
def test_errors_of_the_compiled_operator(arguments, message):
    with pytest.raises(RuntimeError, match=f"add_predictive_moments: .*{message}"):
        OPERATOR(*arguments)


def test_orders_of_memory():
    """Any order of the dimensions will do, of samples and of results."""
    draws = torch.randn(3, 2, 4, 3, 5)
    exact = exact_moments(draws)
    for order in itertools.permutations(range(5)):
        back = [order.index(dim) for dim in range(5)]
        samples = draws.permute(order).contiguous().permute(back)
        for ours, true in zip(moments(ops.add_predictive_moments, samples, (1,)), exact, strict=True):
            torch.testing.assert_close(ours.double(), true, rtol=1e-5, atol=1e-6)
