"""The loss of noisy logits against its definition, in value and gradient; its transforms, extremes and errors."""

import math

import pytest
import torch
from scipy import stats
from torch.nn import functional

from bayesops import ops, random
from bayesops.reference.logit_noise_cross_entropy import logit_noise_cross_entropy as reference

FALSE_ALARM = 1e-6
IGNORED = -100
operator = ops.logit_noise_cross_entropy
# Classification and dense outputs: one place, fewer and more than a panel, images that panels run across, and classes
# fewer and more than a vector, a panel of many places and a small table of registers. Where there are as many places as
# in two of them, CUDA has a thread for each.
SHAPES = [
    (1, 3), (5, 7), (130, 10), (3, 1), (2, 16, 9), (3, 11, 9, 13), (2, 2, 8, 8), (1, 33, 5, 7), (4, 100),
    (2, 5, 3, 4, 6), (1, 5, 129, 128), (1, 13, 129, 128), (0, 4), (2, 4, 0, 3),
]  # fmt: skip


def problem(shape, dtype=torch.float32, *, shared=False, ignored=True, size=3.0):
    """Logits, log variances, targets of which about a third are ignored, and weights of the classes."""
    logits = torch.randn(shape, dtype=torch.float64).mul(size).to(dtype)
    log_var = torch.randn((shape[0], 1, *shape[2:]) if shared else shape, dtype=torch.float64).to(dtype)
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    if ignored:
        target[torch.rand(target.shape) < 0.3] = IGNORED
    return logits, log_var, target, torch.rand(shape[1], dtype=torch.float64) + 0.1


def channels_last(images):
    return images.movedim(1, -1).contiguous().movedim(-1, 1)


def strided(images):
    large = images.new_zeros([2 * n + 1 for n in images.shape])
    view = large[tuple(slice(1, None, 2) for _ in images.shape)]
    view.copy_(images)
    return view


LAYOUTS = {"contiguous": torch.Tensor.contiguous, "channels_last": channels_last, "strided": strided}


def loss_and_gradients(function, tensors, dtype, **options):
    logits, log_var, target, weight = tensors
    logits, log_var = (t.detach().to(dtype).requires_grad_() for t in (logits, log_var))
    if weight is not None:
        options["weight"] = weight.to(torch.promote_types(dtype, torch.float32))
    loss = function(logits, log_var, target, num_samples=6, seed=3, stream=5, **options)
    cotangent = torch.linspace(1.0, 2.0, loss.numel(), dtype=torch.float64).reshape(loss.shape).to(loss.dtype)
    return loss.detach(), *torch.autograd.grad(loss, (logits, log_var), cotangent)


def assert_as_exact(ours, plain, exact, terms):
    """Our error is at most twice plain PyTorch's, and two roundings of a result or of the `terms` that it is left of.

    Losses are differences of logarithms, gradients of probabilities: what is left may be much smaller than these.
    """
    assert ours.dtype == plain.dtype
    error, of_plain, size = (t.square().mean().sqrt().item() for t in (ours.double() - exact, plain - exact, exact))
    computing = torch.finfo(torch.promote_types(ours.dtype, torch.float32)).eps
    rounding = 2 * torch.finfo(ours.dtype).eps * size + 4 * computing * terms
    allowed = 2 * of_plain + rounding * (4 if ours.dtype == torch.float64 else 1)  # `exact` is rounded as we are
    assert error <= allowed, f"error {error:.3g}, allowed {allowed:.3g}, size of the values {size:.3g}"


@pytest.mark.parametrize("average", ["probabilities", "losses"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shared", [False, True], ids=["per class", "shared"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_reference(shape, dtype, shared, reduction, average):
    *tensors, weight = problem(shape, dtype, shared=shared)
    if math.prod(shape) == 0 or not (tensors[2] != IGNORED).any():
        tensors[2].fill_(0)
    options = {"reduction": reduction, "average": average}
    for weights in (None, weight):
        ours = loss_and_gradients(operator, (*tensors, weights), dtype, **options)
        plain = loss_and_gradients(reference, (*tensors, weights), dtype, **options)
        exact = loss_and_gradients(reference, (*tensors, weights), torch.float64, **options)
        if tensors[2].numel() == 0:
            torch.testing.assert_close(ours, plain, equal_nan=True, check_dtype=dtype != torch.bfloat16)
            continue
        computing = torch.promote_types(dtype, torch.float32)
        assert ours[0].dtype == computing
        assert ours[1].dtype == ours[2].dtype == dtype
        if dtype == torch.bfloat16:  # what is rounded to it are the gradients alone
            plain = loss_and_gradients(reference, (*tensors, weights), torch.float32, **options)
            plain = (plain[0], *(p.to(dtype) for p in plain[1:]))
        places = (tensors[2] != IGNORED).sum().item()
        for o, p, e in zip(ours, plain, exact, strict=True):
            of_a_sum = o.dim() == 0 and reduction == "sum"
            assert_as_exact(o, p, e, terms=places if of_a_sum else 1 / places if o.dim() and reduction == "mean" else 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("layout_of_variance", LAYOUTS)
def test_memory_format_does_not_show(layout, layout_of_variance):
    logits, log_var, target, weight = problem((3, 7, 10, 9))
    expected = loss_and_gradients(operator, (logits, log_var, target, weight), torch.float32)
    given = LAYOUTS[layout](logits).requires_grad_(), LAYOUTS[layout_of_variance](log_var).requires_grad_()
    loss = operator(*given, target, num_samples=6, seed=3, stream=5, weight=weight)
    gradients = torch.autograd.grad(loss, given)
    for ours, plain in zip((loss, *gradients), expected, strict=True):
        assert torch.equal(ours, plain)
    if layout != "strided":
        assert gradients[0].stride() == given[0].stride()


def test_loss_alone_is_the_loss_with_gradients():
    for dtype in (torch.float32, torch.float64):
        logits, log_var, target, _ = problem((3, 11, 9, 13), dtype)
        for average in ("probabilities", "losses"):
            options = {"num_samples": 9, "seed": 1, "average": average}
            with_gradients = operator(logits.requires_grad_(), log_var, target, **options)
            with torch.no_grad():
                assert torch.equal(operator(logits, log_var, target, **options), with_gradients)


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_threads_do_not_show(reduction, dtype):
    tensors = problem((5, 11, 60, 61), dtype)
    results = []
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3, 7):
            torch.set_num_threads(number)
            results.append(loss_and_gradients(operator, tensors, dtype, reduction=reduction))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        for ours, first in zip(other, results[0], strict=True):
            assert torch.equal(ours, first)


def test_seeds_of_the_draws_may_be_given():
    logits, log_var, target, _ = problem((4, 5))
    seeds = random.sample_seeds(8, 6, device=logits.device)
    expected = operator(logits, log_var, target, num_samples=6, seed=8)
    assert torch.equal(operator(logits, log_var, target, num_samples=6, seed=seeds), expected)
    assert torch.equal(operator(logits, log_var, target, num_samples=6, seed=torch.tensor(8)), expected)
    assert not torch.equal(operator(logits, log_var, target, num_samples=6, seed=9), expected)
    assert not torch.equal(operator(logits, log_var, target, num_samples=6, seed=8, stream=1), expected)


def test_a_single_example():
    logits, log_var, target, weight = problem((1, 5), ignored=False)
    for reduction in ("none", "mean", "sum"):
        options = {"num_samples": 4, "seed": 2, "weight": weight, "reduction": reduction}
        expected = operator(logits, log_var, target, **options)
        single = operator(logits[0], log_var[0], target[0], **options)
        assert single.shape == ()
        assert torch.equal(single, expected.reshape(()))
    shared = operator(logits[0], log_var[0, :1], target[0], num_samples=4, seed=2)
    assert torch.equal(shared, operator(logits, log_var[:, :1], target, num_samples=4, seed=2))


# --- what it says -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", ["probabilities", "losses"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_without_noise_it_is_cross_entropy(reduction, average):
    logits, _, target, weight = problem((3, 11, 9, 13), torch.float64)
    logits.requires_grad_()
    options = {"weight": weight, "reduction": reduction}
    silent = torch.full_like(logits, -math.inf)
    ours = operator(logits, silent, target, num_samples=3, seed=1, average=average, **options)
    expected = functional.cross_entropy(logits, target, ignore_index=IGNORED, **options)
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(loss.sum(), logits)[0] for loss in (ours, expected)]
    torch.testing.assert_close(*gradients)


def test_mean_of_losses_is_an_upper_bound():
    logits, log_var, target, _ = problem((200, 6), ignored=False)
    options = {"num_samples": 20, "seed": 1, "reduction": "none"}
    inside, outside = (operator(logits, log_var, target, average=a, **options) for a in ("probabilities", "losses"))
    assert (inside <= outside + 1e-6).all()
    assert (inside < outside - 0.01).any()


def test_two_classes_are_a_probit_like_mean():
    """The difference of two noisy logits is normal, so the mean probability is an integral over one variable."""
    difference, variance, draws = 0.7, 1.3, 200_000
    logits = torch.tensor([[difference, 0.0]])
    log_var = torch.tensor([[math.log(variance / 2)] * 2])
    loss = operator(logits, log_var, torch.tensor([0]), num_samples=draws, seed=4)
    z = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    sigmoid = torch.sigmoid(difference + math.sqrt(variance) * z)
    mean = torch.trapezoid(density * sigmoid, z).item()
    deviation = math.sqrt(torch.trapezoid(density * sigmoid.square(), z).item() - mean**2)
    assert abs(math.exp(-loss.item()) - mean) < stats.norm.isf(FALSE_ALARM / 2) * deviation / math.sqrt(draws)


def test_noise_attenuates_what_is_labelled_wrong():
    """A confidently wrong place wants more noise, a right one less: the gradient of log_var has that sign."""
    logits = torch.tensor([[4.0, 0.0, 0.0]] * 2)
    log_var = torch.zeros(2, 3, requires_grad=True)
    loss = operator(logits, log_var, torch.tensor([0, 1]), num_samples=1000, seed=1, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, log_var)
    right, wrong = gradient.sum(1)
    assert right > 0
    assert wrong < 0


# --- extremes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_large_variances_stay_finite(dtype):
    logits, _, target, _ = problem((50, 5), dtype)
    for value in (-50.0, 50.0):
        log_var = torch.full((50, 5), value, dtype=dtype)
        for average in ("probabilities", "losses"):
            ours = loss_and_gradients(operator, (logits, log_var, target, None), dtype, average=average)
            assert all(t.isfinite().all() for t in ours)


def test_draws_that_are_all_wrong_keep_their_digits():
    """Each probability of the target underflows; their mean has a logarithm all the same."""
    logits = torch.tensor([[0.0, 400.0], [0.0, 90.0]])
    for dtype in (torch.float32, torch.float64):
        tensors = logits, torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), None
        ours = loss_and_gradients(operator, tensors, dtype, reduction="none")
        exact = loss_and_gradients(reference, tensors, torch.float64, reduction="none")
        for a, b in zip(ours, exact, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_infinite_logits_and_nan_stay_in_their_place(dtype):
    inf, nan = math.inf, math.nan
    logits = torch.tensor(
        [[0.0, -inf, 1.0], [-inf, 0.0, 1.0], [nan, 0.0, 1.0], [0.0, 0.0, 0.0], [nan, nan, nan], [0.0, 0.0, inf]],
        dtype=dtype,
    )
    log_var = torch.zeros_like(logits)
    log_var[3, 1] = nan
    target = torch.tensor([0, 0, 1, 0, IGNORED, 0])
    for average in ("probabilities", "losses"):
        loss, of_logits, of_log_var = loss_and_gradients(
            operator, (logits, log_var, target, None), dtype, average=average, reduction="none"
        )
        assert loss[0].isfinite()
        assert loss[1] == inf
        assert loss[2:4].isnan().all()
        assert loss[4] == 0
        assert loss[5].isnan()
        for gradient in (of_logits, of_log_var):
            assert gradient[0].isfinite().all()
            assert not gradient[4].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_all_ignored(dtype):
    logits, log_var, target, _ = problem((70, 4), dtype)
    target.fill_(7)
    tensors = logits, log_var, target, None
    for reduction, value in (("none", 0.0), ("sum", 0.0), ("mean", math.nan)):
        loss, *gradients = loss_and_gradients(operator, tensors, dtype, reduction=reduction, ignore_index=7)
        torch.testing.assert_close(loss, torch.full_like(loss, value), equal_nan=True)
        assert not any(g.any() for g in gradients)


def test_class_without_weight():
    logits, log_var, target, weight = problem((70, 4))
    weight[2] = 0
    ours = loss_and_gradients(operator, (logits, log_var, target, weight), torch.float32)
    exact = loss_and_gradients(reference, (logits, log_var, target, weight), torch.float64)
    for a, b in zip(ours, exact, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-6)


# --- transforms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", ["probabilities", "losses"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shared", [False, True], ids=["per class", "shared"])
def test_gradcheck(shared, reduction, average):
    logits, log_var, target, weight = problem((2, 3, 2), torch.float64, shared=shared)
    target[0, 0] = 1

    def function(logits, log_var):
        return operator(
            logits, log_var, target, num_samples=4, seed=1, weight=weight, reduction=reduction, average=average
        )

    inputs = logits.requires_grad_(), log_var.requires_grad_()
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_third_derivative():
    logits, log_var, target, _ = problem((2, 3), torch.float64, ignored=False)

    def second(logits, log_var):
        loss = operator(logits, log_var, target, num_samples=3, seed=1)
        first = torch.autograd.grad(loss, (logits, log_var), create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), (logits, log_var), create_graph=True)

    assert torch.autograd.gradcheck(second, (logits.requires_grad_(), log_var.requires_grad_()))


@pytest.mark.parametrize("needs", [(True, False), (False, True)], ids=["logits", "log_var"])
def test_one_gradient_alone(needs):
    logits, log_var, target, weight = problem((3, 4, 5))
    both = loss_and_gradients(operator, (logits, log_var, target, weight), torch.float32)
    given = [t.requires_grad_(wanted) for t, wanted in zip((logits, log_var), needs, strict=True)]
    operator(*given, target, num_samples=6, seed=3, stream=5, weight=weight.float()).backward()
    for tensor, wanted, expected in zip(given, needs, both[1:], strict=True):
        if not wanted:
            assert tensor.grad is None
        else:
            torch.testing.assert_close(tensor.grad * 1.0, expected)


def test_nothing_of_the_size_of_the_draws_is_saved():
    logits, log_var, target, _ = problem((3, 4, 5))
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
        operator(logits.requires_grad_(), log_var.requires_grad_(), target, num_samples=100, seed=1)
    assert max(saved) <= max(100, logits.numel())


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4, 6)], ids=str)
@pytest.mark.parametrize("shared", [False, True], ids=["per class", "shared"])
@pytest.mark.parametrize(("reduction", "dtype"), [(0, torch.float32), (1, torch.bfloat16)], ids=str)
def test_opcheck(shape, shared, reduction, dtype):
    logits, log_var, target, weight = problem(shape, dtype, shared=shared)
    target.view(-1)[0] = 1
    for format in (LAYOUTS["contiguous"], LAYOUTS["channels_last"]):
        seeds = random.sample_seeds(1, 3, device=target.device)
        tensors = format(logits).requires_grad_(), format(log_var).requires_grad_(), target, seeds
        options = (0, weight.float(), IGNORED, False, reduction)
        torch.library.opcheck(torch.ops.bayesops.logit_noise_cross_entropy.default, (*tensors, *options))
        torch.library.opcheck(torch.ops.bayesops.logit_noise_cross_entropy_gradients.default, (*tensors, *options))


@pytest.mark.parametrize("in_dims", [(0, 0, None), (None, None, 0), (1, None, 0)], ids=str)
def test_vmap(in_dims):
    logits, log_var, target, _ = problem((2, 3, 4))
    arguments = [
        t if dim is None else torch.stack([t + i for i in range(3)], dim)
        for t, dim in zip((logits, log_var), in_dims, strict=False)
    ]
    arguments.append(torch.arange(3) if in_dims[2] == 0 else torch.tensor(1))

    def function(logits, log_var, seed):
        return operator(logits, log_var, target, num_samples=4, seed=seed)

    mapped = torch.vmap(function, in_dims)(*arguments)
    gradients = torch.vmap(torch.func.grad(function, (0, 1)), in_dims)(*arguments)
    for i in range(3):
        one = [a if dim is None else a.select(dim, i) for a, dim in zip(arguments, in_dims, strict=True)]
        assert torch.equal(mapped[i], function(*one))
        for ours, expected in zip(gradients, torch.func.grad(function, (0, 1))(*one), strict=True):
            torch.testing.assert_close(ours[i], expected)


def test_functional_jacobian_twice():
    logits, log_var, target, _ = problem((2, 3), torch.float64, ignored=False)

    def loss(function):
        return lambda logits: function(logits, log_var, target, num_samples=4, seed=1)

    ours, expected = (torch.func.jacrev(torch.func.jacrev(loss(f)))(logits) for f in (operator, reference))
    torch.testing.assert_close(ours, expected)
    with pytest.raises(NotImplementedError, match="forward-mode derivatives"):
        torch.func.hessian(loss(operator))(logits)


def test_compile():
    logits, log_var, target, _ = problem((2, 3, 4))
    inputs = logits.requires_grad_(), log_var.requires_grad_()

    def loss(logits, log_var, seed):
        return operator(logits.sin(), log_var, target, num_samples=4, seed=seed) * 2

    ours = torch.compile(loss, fullgraph=True, backend="aot_eager")(*inputs, torch.tensor(1))
    expected = loss(*inputs, torch.tensor(1))
    torch.testing.assert_close(ours, expected)
    for a, b in zip(*(torch.autograd.grad(x, inputs) for x in (ours, expected)), strict=True):
        torch.testing.assert_close(a, b)


def test_autocast_takes_what_comes(device):
    """Logits of a 16-bit layer with variances of another dtype; the loss is float32."""
    logits, log_var, target, _ = problem((2, 3, 4))
    expected = operator(logits.bfloat16().float(), log_var, target, num_samples=4, seed=1)
    with torch.autocast(device, torch.bfloat16):
        assert torch.equal(operator(logits.bfloat16(), log_var, target, num_samples=4, seed=1), expected)


@pytest.mark.cpu_only
def test_half_precision_runs_in_float32_on_the_cpu():
    logits, log_var, target, _ = problem((2, 3, 4), torch.float16)
    ours = loss_and_gradients(operator, (logits, log_var, target, None), torch.float16)
    expected = loss_and_gradients(operator, (logits, log_var, target, None), torch.float32)
    assert torch.equal(ours[0], expected[0])
    for a, b in zip(ours[1:], expected[1:], strict=True):
        assert torch.equal(a, b.half())


# --- errors -----------------------------------------------------------------------------------------------------------

LOGITS, TARGET = torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)
BAD = {
    "logits": ({"logits": LOGITS.int()}, TypeError, "'logits' must be float32"),
    "no classes": ({"logits": LOGITS[:, :0]}, ValueError, "'logits' must be of shape .*with one class at least"),
    "log_var": ({"log_var": None}, TypeError, "'log_var' must be a tensor, got NoneType"),
    "log_var dtype": ({"log_var": LOGITS.double()}, TypeError, "'log_var' must be of the input's dtype"),
    "log_var shape": (
        {"log_var": LOGITS[:, :2]}, ValueError,
        r"'log_var' must be of shape \(2, 3, 4\) or \(2, 1, 4\), got shape \(2, 2, 4\)",
    ),
    "log_var of a place": ({"log_var": LOGITS[:, 0]}, ValueError, r"'log_var' must be of shape .* got shape \(2, 4\)"),
    "target": ({"target": 1}, TypeError, "'target' must be a tensor, got int"),
    "target dtype": ({"target": LOGITS[:, 0]}, TypeError, "'target' must be int64"),
    "target shape": ({"target": TARGET[:1]}, ValueError, r"'target' must be of shape \(2, 4\), got shape \(1, 4\)"),
    "num_samples": ({"num_samples": 0}, ValueError, "'num_samples' must be at least 1, got 0"),
    "num_samples type": ({"num_samples": 1.5}, TypeError, "'num_samples' must be an int, got float"),
    "seed": ({"seed": None}, TypeError, "'seed' must be an int or an int64 tensor"),
    "seeds": ({"seed": torch.arange(3)}, ValueError, r"'seed' must be one seed, or 2 \(num_samples\), got shape \(3"),
    "reduction": ({"reduction": "avg"}, ValueError, "'reduction' must be one of 'none', 'mean', 'sum', got 'avg'"),
    "average": ({"average": "logits"}, ValueError, "'average' must be one of 'probabilities', 'losses', got 'logits'"),
    "weight": ({"weight": torch.ones(2)}, ValueError, r"'weight' must be of shape \(3,\), got shape \(2,\)"),
    "weight dtype": ({"weight": torch.ones(3).int()}, TypeError, "'weight' must be float32"),
    "weight grad": ({"weight": torch.ones(3).requires_grad_()}, ValueError, "'weight' must be without a gradient"),
    "stream": ({"stream": 2**32}, ValueError, "'stream' must be in"),
}  # fmt: skip


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", BAD, ids=str)
def test_errors(case):
    bad, error, message = BAD[case]
    arguments = {"logits": LOGITS, "log_var": LOGITS, "target": TARGET, "num_samples": 2, "seed": 1, **bad}
    with pytest.raises(error, match=f"^logit_noise_cross_entropy: argument {message}"):
        operator(**arguments)


@pytest.mark.cpu_only
@pytest.mark.parametrize("value", [-1, 3, 255])
def test_a_target_that_is_no_class(value):
    target = TARGET.clone()
    target[1, 2] = value
    with pytest.raises(RuntimeError, match=rf"target must be in \[0, 3\) or ignore_index \(-100\), not {value}"):
        operator(LOGITS, LOGITS, target, num_samples=2, seed=1)
    assert operator(LOGITS, LOGITS, target, num_samples=2, seed=1, ignore_index=value).isfinite()


SEEDS = torch.arange(2)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({0: LOGITS[0, 0]}, r"logits must have the shape \[N, C, \*\] with one class at least, not \[4\]"),
        ({0: LOGITS.half(), 1: LOGITS.half()}, "float16, which runs on CUDA only"),
        ({1: LOGITS.double()}, "log_var must have the dtype"),
        ({1: LOGITS[:1]}, r"log_var must have the shape \[2, 3, 4\] or \[2, 1, 4\], not \[1, 3, 4\]"),
        ({2: LOGITS[:, 0]}, "target must be an int64 tensor"),
        ({2: TARGET[0]}, r"target must have the shape \[2, 4\], not \[4\]"),
        ({3: SEEDS[0]}, r"seed must have the shape \[T\], T at least 1, not \[\]"),
        ({3: SEEDS[:0]}, r"seed must have the shape \[T\], T at least 1, not \[0\]"),
        ({4: -1}, "stream must be in"),
        ({5: torch.ones(2)}, r"weight must have the shape \[3\], not \[2\]"),
        ({5: torch.ones(3).double()}, "weight must be float32"),
        ({8: 3}, r"reduction must be 0 \(none\), 1 \(mean\) or 2 \(sum\), not 3"),
    ],
)
def test_errors_of_the_compiled_operator(changed, message):
    arguments = [LOGITS, LOGITS, TARGET, SEEDS, 0, None, IGNORED, False, 1]
    for place, value in changed.items():
        arguments[place] = value
    with pytest.raises(RuntimeError, match=f"logit_noise_cross_entropy: .*{message}"):
        torch.ops.bayesops.logit_noise_cross_entropy(*arguments)
