"""softplus and softplus², operators of each element by itself: what both, and their gradients, have in common."""

import pytest
import torch

from bayesops.reference.softplus import softplus

DTYPES = [torch.float32, torch.float64, torch.bfloat16]
# None, one, a vector and one more, a piece of 1024 and one more or less, several pieces, several threads' worth.
SHAPES = [(), (1,), (17,), (5, 3, 3, 3), (1023,), (1024,), (1025,), (40, 113), (2, 0, 3), (3, 20_001)]

OF = {"softplus": softplus, "softplus_variance": lambda rho: softplus(rho).square()}
pytestmark = pytest.mark.parametrize("name", OF)


def operators(name):
    """The operator, its gradient, and the definition of the first."""
    return getattr(torch.ops.bayesops, name).default, getattr(torch.ops.bayesops, f"{name}_grad").default, OF[name]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradient(name, shape, dtype):
    operator, _, plain = operators(name)
    rho = (torch.rand(shape, dtype=torch.float64) * 14 - 8).to(dtype).requires_grad_()
    cotangent = torch.randn(shape, dtype=torch.float64).to(dtype)
    exact = rho.detach().double().requires_grad_()
    expected = plain(exact)
    ours = operator(rho)
    assert ours.dtype == dtype
    rounding = 8 * torch.finfo(dtype).eps  # relative: nothing cancels
    torch.testing.assert_close(ours.double(), expected, rtol=rounding, atol=0)
    (gradient,) = torch.autograd.grad(ours, rho, cotangent)
    (exact_gradient,) = torch.autograd.grad(expected, exact, cotangent.double())
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=rounding, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_as_exact_as_torch(name, dtype, assert_as_exact_as_torch):
    operator, _, plain = operators(name)
    rho, cotangent = (torch.randn(20_000) * 3 - 2).to(dtype), torch.randn(20_000).to(dtype)

    def run(function, as_dtype):
        leaf = rho.to(as_dtype).requires_grad_()
        sigma = function(leaf)
        return sigma.detach(), *torch.autograd.grad(sigma, leaf, cotangent.to(as_dtype))

    for ours, theirs, exact in zip(run(operator, dtype), run(plain, dtype), run(plain, torch.float64), strict=True):
        assert_as_exact_as_torch(ours, theirs, exact)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_extreme_rho(name, dtype):
    operator, gradient_of, plain = operators(name)
    rho = torch.linspace(-100, 100, 2001).to(dtype)
    exact = rho.double().requires_grad_()
    expected = plain(exact)
    (slope,) = torch.autograd.grad(expected.sum(), exact)
    rounding, tiny = 8 * torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    torch.testing.assert_close(operator(rho).double(), expected.detach(), rtol=rounding, atol=tiny)
    torch.testing.assert_close(gradient_of(torch.ones_like(rho), rho).double(), slope, rtol=rounding, atol=tiny)


def test_nothing_but_the_argument_is_saved(name):
    operator, _, _ = operators(name)
    rho = torch.randn(100, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.data_ptr()) or t, lambda t: t):
        operator(rho)
    assert saved == [rho.data_ptr()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_opcheck(name, dtype):
    operator, gradient_of, _ = operators(name)
    rho, grad = (torch.randn(4, 5, dtype=dtype).requires_grad_() for _ in range(2))
    torch.library.opcheck(operator, (rho,))
    torch.library.opcheck(gradient_of, (grad, rho))
    torch.library.opcheck(operator, (rho.detach().mT.requires_grad_(),))


@pytest.mark.parametrize("dim", [0, 1])
def test_vmap(name, dim):
    operator, gradient_of, _ = operators(name)
    rho, cotangent = torch.randn(4, 5), torch.randn(4, 5)
    assert torch.equal(torch.vmap(operator, dim, dim)(rho), operator(rho))
    expected = gradient_of(cotangent, rho)
    assert torch.equal(torch.vmap(gradient_of, (dim, dim), dim)(cotangent, rho), expected)
    for i in range(4):
        assert torch.equal(torch.vmap(gradient_of, (0, None))(cotangent, rho[i])[i], expected[i])
    derived = torch.vmap(torch.func.grad(lambda row: operator(row).sum()))(rho)
    assert torch.equal(derived, gradient_of(torch.ones_like(rho), rho))


@pytest.mark.cpu_only
def test_errors(name):
    operator, gradient_of, _ = operators(name)
    with pytest.raises(RuntimeError, match=f"{name}: rho is float16, which runs on CUDA only"):
        operator(torch.zeros(3).half())
    with pytest.raises(RuntimeError, match=f"{name}: rho must be float32, float64, bfloat16"):
        operator(torch.zeros(3).int())
    with pytest.raises(RuntimeError, match=rf"{name}_grad: grad must have rho's shape \[3\], not \[2\]"):
        gradient_of(torch.zeros(2), torch.zeros(3))
    with pytest.raises(RuntimeError, match=f"{name}_grad: grad must have the dtype"):
        gradient_of(torch.zeros(3).double(), torch.zeros(3))
