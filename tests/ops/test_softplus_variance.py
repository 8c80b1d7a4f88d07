import math

import pytest
import torch
from torch.nn import functional

from bayesops.ops import _softplus_rules
from bayesops.ops import _softplus_variance_rules as rules

OPERATOR = torch.ops.bayesops.softplus_variance.default
GRADIENT = torch.ops.bayesops.softplus_variance_grad.default
DTYPES = [torch.float32, torch.float64, torch.bfloat16]


def plain(rho):
    return functional.softplus(rho).square()


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


def test_compile():
    rho = torch.randn(100, 100, requires_grad=True)

    def loss(rho):
        return rules.variance_of(rho).sin().sum()

    ours, expected = torch.compile(loss, fullgraph=True, backend="aot_eager")(rho), loss(rho)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, rho)[0] for x in (ours, expected)))


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_composite_of_the_gradient_is_the_same(dtype):
    """What second derivatives are taken of."""
    rho, grad = torch.randn(7, 11).to(dtype), torch.randn(7, 11).to(dtype)
    rounding = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(rules.softplus_variance_grad(grad, rho), GRADIENT(grad, rho), rtol=rounding, atol=0)
