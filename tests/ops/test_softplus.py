import math

import pytest
import torch

from bayesops.ops import _softplus_rules as rules
from bayesops.reference.softplus import softplus as plain

OPERATOR = torch.ops.bayesops.softplus.default
GRADIENT = torch.ops.bayesops.softplus_grad.default
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
# None, one, a vector and one more, a piece of 1024 and one more or less, several pieces, several threads' worth.
SHAPES = [(), (1,), (17,), (5, 3, 3, 3), (1023,), (1024,), (1025,), (40, 113), (2, 0, 3), (3, 20_001)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradient(shape, dtype):
    rho = (torch.rand(shape, dtype=torch.float64) * 14 - 8).to(dtype).requires_grad_()
    cotangent = torch.randn(shape, dtype=torch.float64).to(dtype)
    exact = rho.detach().double().requires_grad_()
    expected = plain(exact)
    ours = OPERATOR(rho)
    assert ours.dtype == dtype
    rounding = 8 * torch.finfo(dtype).eps  # relative: nothing cancels
    torch.testing.assert_close(ours.double(), expected, rtol=rounding, atol=0)
    (gradient,) = torch.autograd.grad(ours, rho, cotangent)
    (exact_gradient,) = torch.autograd.grad(expected, exact, cotangent.double())
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=rounding, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_as_exact_as_torch(dtype, assert_as_exact_as_torch):
    rho, cotangent = (torch.randn(20_000) * 3 - 2).to(dtype), torch.randn(20_000).to(dtype)

    def run(function, as_dtype):
        leaf = rho.to(as_dtype).requires_grad_()
        sigma = function(leaf)
        return sigma.detach(), *torch.autograd.grad(sigma, leaf, cotangent.to(as_dtype))

    for ours, theirs, exact in zip(run(OPERATOR, dtype), run(plain, dtype), run(plain, torch.float64), strict=True):
        assert_as_exact_as_torch(ours, theirs, exact)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_extreme_rho(dtype):
    rho = torch.linspace(-100, 100, 2001).to(dtype)
    exact = rho.double().requires_grad_()
    expected = plain(exact)
    (slope,) = torch.autograd.grad(expected.sum(), exact)
    rounding, tiny = 8 * torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    torch.testing.assert_close(OPERATOR(rho).double(), expected.detach(), rtol=rounding, atol=tiny)
    torch.testing.assert_close(GRADIENT(torch.ones_like(rho), rho).double(), slope, rtol=rounding, atol=tiny)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_limits(dtype):
    rho = torch.tensor([-math.inf, math.inf, math.nan] * 30, dtype=dtype)
    expected = torch.tensor([0, math.inf, math.nan] * 30, dtype=dtype)
    torch.testing.assert_close(OPERATOR(rho), expected, equal_nan=True)
    expected = torch.tensor([0, 1, math.nan] * 30, dtype=dtype)
    torch.testing.assert_close(GRADIENT(torch.ones_like(rho), rho), expected, equal_nan=True)


# --- the choice, and what it must not show ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [(3,), (100, 100)], ids=str)
def test_both_ways_agree(shape, dtype):
    rho = (torch.randn(shape) - 2).to(dtype)
    for given in (rho, rho.mT if rho.dim() > 1 else rho):
        for ours, exact in (
            (rules.softplus(given), plain(given.double())),
            (rules.sigmoid(given), given.double().sigmoid()),
        ):
            assert ours.dtype == dtype
            torch.testing.assert_close(ours.double(), exact, rtol=4 * torch.finfo(dtype).eps, atol=1e-7)


def test_many_elements_take_the_kernel():
    rho = torch.zeros(rules._MANY, requires_grad=True)
    assert "Derivative" in rules.softplus(rho).grad_fn.name()
    assert "Softplus" in rules.softplus(rho[1:]).grad_fn.name()


@pytest.mark.parametrize("shape", [(31, 33), (100, 333)], ids=str)
def test_how_rho_lies_in_memory_does_not_show(shape):
    rho, cotangent = torch.randn(shape) * 3, torch.randn(shape)
    turned = rho.mT.contiguous().mT
    assert torch.equal(rules.softplus(turned), rules.softplus(rho))
    assert torch.equal(rules.sigmoid(turned), rules.sigmoid(rho))
    assert torch.equal(GRADIENT(cotangent.mT.contiguous().mT, turned), GRADIENT(cotangent, rho))


@pytest.mark.cpu_only
@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_threads_do_not_show(threads, dtype):
    rho = (torch.randn(333, 333) * 3).to(dtype)

    def batch(row):
        return rules.softplus(row), rules.sigmoid(row)  # fewer elements than the operator is for, but not together

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = *batch(rho), *torch.vmap(batch)(rho)
        torch.set_num_threads(threads)
        for ours, alone in zip((*batch(rho), *torch.vmap(batch)(rho)), expected, strict=True):
            assert torch.equal(ours, alone)
    finally:
        torch.set_num_threads(before)


# --- derivatives and transforms ---------------------------------------------------------------------------------------


def test_gradcheck():
    rho, grad = ((torch.randn(4, 3, dtype=torch.float64) * 3).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(OPERATOR, (rho,))
    assert torch.autograd.gradgradcheck(OPERATOR, (rho,))
    assert torch.autograd.gradgradcheck(GRADIENT, (grad, rho))


def test_third_derivative():
    rho = torch.linspace(-5, 5, 21, dtype=torch.float64)

    def third(function):
        derivative = function
        for _ in range(3):
            derivative = torch.func.grad(derivative)
        return torch.vmap(derivative)(rho)

    torch.testing.assert_close(third(OPERATOR), third(plain))


def test_nothing_but_the_argument_is_saved():
    rho = torch.randn(100, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.data_ptr()) or t, lambda t: t):
        OPERATOR(rho)
    assert saved == [rho.data_ptr()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_opcheck(dtype):
    rho, grad = (torch.randn(4, 5, dtype=dtype).requires_grad_() for _ in range(2))
    torch.library.opcheck(OPERATOR, (rho,))
    torch.library.opcheck(GRADIENT, (grad, rho))
    torch.library.opcheck(OPERATOR, (rho.detach().mT.requires_grad_(),))


@pytest.mark.parametrize("dim", [0, 1])
def test_vmap(dim):
    rho, cotangent = torch.randn(4, 5), torch.randn(4, 5)
    assert torch.equal(torch.vmap(OPERATOR, dim, dim)(rho), OPERATOR(rho))
    expected = GRADIENT(cotangent, rho)
    assert torch.equal(torch.vmap(GRADIENT, (dim, dim), dim)(cotangent, rho), expected)
    for i in range(4):
        assert torch.equal(torch.vmap(GRADIENT, (0, None))(cotangent, rho[i])[i], expected[i])
    derived = torch.vmap(torch.func.grad(lambda row: OPERATOR(row).sum()))(rho)
    assert torch.equal(derived, GRADIENT(torch.ones_like(rho), rho))


@pytest.mark.parametrize("shape", [(10, 10), (100, 100)], ids=str)
def test_compile(shape):
    rho = torch.randn(shape, requires_grad=True)

    def loss(rho):
        return rules.softplus(rho).sin().sum()

    ours, expected = torch.compile(loss, fullgraph=True, backend="aot_eager")(rho), loss(rho)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, rho)[0] for x in (ours, expected)))


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OPERATOR(torch.zeros(3).half()), "softplus: rho is float16, which runs on CUDA only"),
        (lambda: OPERATOR(torch.zeros(3).int()), "softplus: rho must be float32, float64, bfloat16"),
        (
            lambda: GRADIENT(torch.zeros(2), torch.zeros(3)),
            r"softplus_grad: grad must have rho's shape \[3\], not \[2\]",
        ),
        (lambda: GRADIENT(torch.zeros(3).double(), torch.zeros(3)), "softplus_grad: grad must have the dtype"),
    ],
)
def test_errors(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()
