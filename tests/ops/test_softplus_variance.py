import math

import pytest
import torch
from torch.nn import functional

from bayesops.ops import _softplus_rules
from bayesops.ops import _softplus_variance_rules as rules

OPERATOR = torch.ops.bayesops.softplus_variance.default
GRADIENT = torch.ops.bayesops.softplus_variance_grad.default
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
# None, one, a vector and one more, a piece of 1024 and one more or less, several pieces, several threads' worth.
SHAPES = [(), (1,), (17,), (5, 3, 3, 3), (1023,), (1024,), (1025,), (40, 113), (2, 0, 3), (3, 20_001)]


def plain(rho):
    return functional.softplus(rho).square()


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
        variance = function(leaf)
        return variance.detach(), *torch.autograd.grad(variance, leaf, cotangent.to(as_dtype))

    for ours, theirs, exact in zip(run(OPERATOR, dtype), run(plain, dtype), run(plain, torch.float64), strict=True):
        assert_as_exact_as_torch(ours, theirs, exact)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_extreme_rho(dtype, device):
    rho = torch.linspace(-100, 100, 2001).to(dtype)
    exact = rho.double().requires_grad_()
    expected = plain(exact)
    (slope,) = torch.autograd.grad(expected.sum(), exact)
    rounding, tiny = 8 * torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    torch.testing.assert_close(OPERATOR(rho).double(), expected.detach(), rtol=rounding, atol=tiny)
    if device == "cuda":
        rounding = max(rounding, 4e-9)  # torch takes the slope of softplus for 1 above 20, where it is 1 - 2e-9
    torch.testing.assert_close(GRADIENT(torch.ones_like(rho), rho).double(), slope, rtol=rounding, atol=tiny)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_limits(dtype):
    rho = torch.tensor([-math.inf, math.inf, math.nan] * 30, dtype=dtype)
    expected = torch.tensor([0, math.inf, math.nan] * 30, dtype=dtype)
    torch.testing.assert_close(OPERATOR(rho), expected, equal_nan=True)
    torch.testing.assert_close(GRADIENT(torch.ones_like(rho), rho), expected, equal_nan=True)


def test_layout_does_not_matter():
    rho, cotangent = torch.randn(4, 5, 6, 7), torch.randn(4, 5, 6, 7)
    last = rho.to(memory_format=torch.channels_last)
    assert torch.equal(OPERATOR(last), OPERATOR(rho))
    assert torch.equal(GRADIENT(cotangent.mT.contiguous().mT, last), GRADIENT(cotangent, rho))


# --- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [(3,), (100, 100)], ids=str)
def test_both_ways_agree(shape, dtype):
    rho = (torch.randn(shape) - 2).to(dtype)
    for given in (rho, rho.mT if rho.dim() > 1 else rho):
        ours = rules.variance_of(given)
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double(), plain(given.double()), rtol=4 * torch.finfo(dtype).eps, atol=1e-7)


@pytest.mark.cpu_only
def test_many_elements_take_the_kernel():
    rho = torch.zeros(_softplus_rules._MANY, requires_grad=True)
    assert "Derivative" in rules.variance_of(rho).grad_fn.name()
    assert "Derivative" in rules.variance_of(rho.view(2, -1).mT).grad_fn.name()
    assert "Pow" in rules.variance_of(rho[1:]).grad_fn.name()


@pytest.mark.parametrize("shape", [(31, 33), (100, 333)], ids=str)
def test_how_rho_lies_in_memory_does_not_show(shape):
    rho = torch.randn(shape) * 3
    turned = rho.mT.contiguous().mT
    assert torch.equal(rules.variance_of(turned), rules.variance_of(rho))


# --- derivatives and transforms ---------------------------------------------------------------------------------------


def test_gradcheck():
    rho = (torch.randn(4, 3, dtype=torch.float64) * 3).requires_grad_()
    assert torch.autograd.gradcheck(OPERATOR, (rho,))
    assert torch.autograd.gradgradcheck(OPERATOR, (rho,))


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


def test_compile():
    rho = torch.randn(100, 100, requires_grad=True)

    def loss(rho):
        return rules.variance_of(rho).sin().sum()

    ours, expected = torch.compile(loss, fullgraph=True, backend="aot_eager")(rho), loss(rho)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, rho)[0] for x in (ours, expected)))


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_composite_is_the_same(dtype):
    """What CUDA runs, and what second derivatives are taken of."""
    rho, grad = torch.randn(7, 11).to(dtype), torch.randn(7, 11).to(dtype)
    rounding = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(rules.softplus_variance(rho), OPERATOR(rho), rtol=rounding, atol=0)
    torch.testing.assert_close(rules.softplus_variance_grad(grad, rho), GRADIENT(grad, rho), rtol=rounding, atol=0)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OPERATOR(torch.zeros(3).half()), "softplus_variance: rho is float16, which runs on CUDA only"),
        (lambda: OPERATOR(torch.zeros(3).int()), "softplus_variance: rho must be float32, float64, bfloat16"),
        (
            lambda: GRADIENT(torch.zeros(2), torch.zeros(3)),
            r"softplus_variance_grad: grad must have rho's shape \[3\], not \[2\]",
        ),
        (lambda: GRADIENT(torch.zeros(3).double(), torch.zeros(3)), "softplus_variance_grad: grad must have the dtype"),
    ],
)
def test_errors(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()
