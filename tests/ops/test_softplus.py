import math

import pytest
import torch

from bayesops.ops import _softplus_rules as rules
from bayesops.reference.softplus import softplus as plain

OPERATOR = torch.ops.bayesops.softplus.default
GRADIENT = torch.ops.bayesops.softplus_grad.default
DTYPES = [torch.float32, torch.float64, torch.bfloat16]


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


@pytest.mark.parametrize("shape", [(10, 10), (100, 100)], ids=str)
def test_compile(shape):
    rho = torch.randn(shape, requires_grad=True)

    def loss(rho):
        return rules.softplus(rho).sin().sum()

    ours, expected = torch.compile(loss, fullgraph=True, backend="aot_eager")(rho), loss(rho)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, rho)[0] for x in (ours, expected)))
