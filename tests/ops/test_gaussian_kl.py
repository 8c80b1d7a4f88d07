import math

import pytest
import torch

from bayesops import ops
from bayesops.ops import _gaussian_kl_rules
from bayesops.reference.gaussian_kl import gaussian_kl

OPERATOR = torch.ops.bayesops.gaussian_kl.default
GRADIENT = torch.ops.bayesops.gaussian_kl_grad.default
# None, one, a vector and one more, a piece of 1024 and one more or less, several pieces, several threads' worth.
SHAPES = [(), (1,), (17,), (5, 3, 3, 3), (1023,), (1024,), (1025,), (40, 113), (2, 0, 3), (3, 20_001)]
PRIORS = [(0.0, 1.0), (0.0, 0.1), (-0.3, 0.5), (2.5, 1e-3), (0.1, 30.0)]


def parameters(shape, dtype=torch.float32, low=-7.0, high=3.0):
    mu = torch.randn(shape, dtype=torch.float64).mul(0.5)
    rho = torch.rand(shape, dtype=torch.float64) * (high - low) + low
    return mu.to(dtype), rho.to(dtype)


def gradients(function, mu, rho, prior):
    mu, rho = mu.detach().requires_grad_(), rho.detach().requires_grad_()
    return torch.autograd.grad(function(mu, rho, *prior), (mu, rho), torch.tensor(0.7, dtype=torch.float64))


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("prior", PRIORS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_reference(shape, prior, dtype):
    mu, rho = parameters(shape, dtype)
    exact = gaussian_kl(mu.double(), rho.double(), *prior)
    ours = ops.gaussian_kl(mu, rho, *prior)
    assert ours.dtype == torch.float64
    assert ours.shape == ()
    if dtype == torch.float64:
        torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)
        return
    # Roundings of sigma² / s² and of log sigma: independent, so that their sum grows as a root of their number, but not
    # in bfloat16, where the same few rho come again and again.
    sigma = torch.nn.functional.softplus(rho.double())
    sizes = (sigma / prior[1]).square() + sigma.log().abs() + 1
    size = sizes.sum() if dtype == torch.bfloat16 else torch.linalg.vector_norm(sizes)
    tolerance = 2 * torch.finfo(torch.float32).eps * size.item()
    torch.testing.assert_close(ours, exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("prior", PRIORS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_match_reference(shape, prior, dtype):
    mu, rho = parameters(shape, dtype)
    exact = gradients(gaussian_kl, mu.double(), rho.double(), prior)
    # What cancels where mu is the prior's mean or sigma its deviation: the tolerance is of the parts' size.
    sigma = torch.nn.functional.softplus(rho.double())
    slope = torch.sigmoid(rho.double())
    parts = (mu.double().abs() + abs(prior[0])) / prior[1] ** 2, slope / sigma + slope * sigma / prior[1] ** 2
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    for ours, true, size in zip(gradients(ops.gaussian_kl, mu, rho, prior), exact, parts, strict=True):
        assert ours.dtype == dtype
        rounding = 8 * torch.finfo(compute).eps * size + torch.finfo(dtype).eps * true.abs()
        assert ((ours.double() - true).abs() <= rounding).all()


def test_layout_does_not_matter():
    mu, rho = parameters((4, 5, 6, 7))
    expected = ops.gaussian_kl(mu, rho)
    last = mu.to(memory_format=torch.channels_last), rho.mT.contiguous().mT
    assert torch.equal(ops.gaussian_kl(*last), expected)
    for ours, plain in zip(gradients(ops.gaussian_kl, *last, ()), gradients(ops.gaussian_kl, mu, rho, ()), strict=True):
        assert torch.equal(ours, plain)


def test_posterior_that_is_the_prior():
    rho = torch.full((3000,), math.log(math.expm1(0.1)), dtype=torch.float64)
    mu = torch.full_like(rho, 0.3)
    assert abs(ops.gaussian_kl(mu, rho, 0.3, 0.1).item()) < 3000 * 1e-13  # of sums of 3000 * 2.3 that cancel
    for gradient in gradients(ops.gaussian_kl, mu, rho, (0.3, 0.1)):
        torch.testing.assert_close(gradient, torch.zeros_like(mu), rtol=0, atol=1e-13)


# --- extremes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_extreme_rho(dtype):
    """In single precision sigma is subnormal below -87 and 0 below -104; its logarithm is rho all the same."""
    rho = torch.linspace(-100, 100, 2001, dtype=dtype)
    mu = torch.zeros_like(rho)
    rounding = 8 * torch.finfo(dtype).eps
    for i in (0, 500, 1000, 1500, 2000):
        ours = ops.gaussian_kl(mu[i], rho[i])
        torch.testing.assert_close(ours, gaussian_kl(mu[i].double(), rho[i].double()), rtol=rounding, atol=0)
    torch.testing.assert_close(ops.gaussian_kl(mu, rho), gaussian_kl(mu.double(), rho.double()), rtol=rounding, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("operator", [GRADIENT, _gaussian_kl_rules.gaussian_kl_grad], ids=["native", "composite"])
def test_gradient_at_extreme_rho(operator, dtype):
    rho = torch.linspace(-100, 100, 2001, dtype=dtype)
    mu = torch.zeros_like(rho)
    exact = gradients(gaussian_kl, mu.double(), rho.double(), (0.0, 1.0))[1]
    ours = operator(torch.tensor(0.7, dtype=torch.float64), mu, rho, 0.0, 1.0)[1]
    rounding = 8 * torch.finfo(dtype).eps
    if operator is not GRADIENT:
        rounding = max(rounding, 4e-9)  # torch takes the slope of softplus for 1 above 20, where it is 1 - 2e-9
    torch.testing.assert_close(ours.double(), exact, rtol=rounding, atol=rounding / 2)


def test_sigma_that_vanished_has_a_gradient_yet():
    """Plain PyTorch gives NaN here: sigmoid(rho) / sigma is 0 / 0."""
    rho = torch.tensor([-200.0, -1000.0])
    mu = torch.zeros_like(rho)
    assert ops.gaussian_kl(mu, rho).item() == pytest.approx(1200 - 1)
    for create_graph in (False, True):
        leaf = rho.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(ops.gaussian_kl(mu, leaf), leaf, create_graph=create_graph)
        assert torch.equal(gradient.detach(), torch.tensor([-1.0, -1.0]))
    (curvature,) = torch.autograd.grad(gradient.sum(), leaf)
    assert torch.equal(curvature, torch.zeros(2))


def test_sigma_whose_square_overflows():
    rho, mu = torch.tensor([1e20]), torch.tensor([-1e20])
    assert ops.gaussian_kl(mu, rho).item() == pytest.approx(1e40, rel=1e-6)
    for gradient, expected in zip(gradients(ops.gaussian_kl, mu, rho, (0.0, 1.0)), (-7e19, 7e19), strict=True):
        assert gradient.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_nan_is_not_hidden(dtype):
    for mu, rho in ((math.nan, 0.0), (0.0, math.nan), (0.0, -math.nan)):
        mu, rho = torch.full((70,), mu, dtype=dtype), torch.full((70,), rho, dtype=dtype)
        assert ops.gaussian_kl(mu, rho).isnan()
        of_mu, of_rho = gradients(ops.gaussian_kl, mu, rho, ())
        assert of_mu.isnan().all() == mu.isnan().all()
        assert of_rho.isnan().all() == rho.isnan().all()


# --- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [(0.0, 1.0), (-0.3, 0.5)], ids=str)
def test_gradcheck(prior):
    inputs = tuple(t.requires_grad_() for t in parameters((4, 3), torch.float64, low=-3.0))
    assert torch.autograd.gradcheck(lambda mu, rho: ops.gaussian_kl(mu, rho, *prior), inputs)
    assert torch.autograd.gradgradcheck(lambda mu, rho: ops.gaussian_kl(mu, rho, *prior), inputs)


def test_third_derivative():
    mu, rho = (t.requires_grad_() for t in parameters((3,), torch.float64, low=-3.0))

    def second(mu, rho):
        first = torch.autograd.grad(ops.gaussian_kl(mu, rho, 0.1, 0.5), (mu, rho), create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), (mu, rho), create_graph=True)

    assert torch.autograd.gradcheck(second, (mu, rho))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_second_derivative_keeps_the_dtype(dtype):
    mu, rho = (t.requires_grad_() for t in parameters((50,), dtype))
    exact = tuple(t.detach().double().requires_grad_() for t in (mu, rho))

    def second(function, inputs):
        first = torch.autograd.grad(function(*inputs, 0.1, 0.5), inputs, create_graph=True)
        return torch.autograd.grad(sum(g.sum() for g in first), inputs)

    for ours, true in zip(second(ops.gaussian_kl, (mu, rho)), second(gaussian_kl, exact), strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double(), true, rtol=8 * torch.finfo(dtype).eps, atol=1e-5)


def test_nothing_but_the_arguments_is_saved():
    mu, rho = (t.requires_grad_() for t in parameters((100,)))
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.data_ptr()) or t, lambda t: t):
        ops.gaussian_kl(mu, rho)
    assert set(saved) == {mu.data_ptr(), rho.data_ptr()}


def test_only_one_is_differentiated():
    mu, rho = parameters((20,), torch.float64)
    both = gradients(ops.gaussian_kl, mu, rho, ())
    for i, leaf in enumerate((mu.clone().requires_grad_(), rho.clone().requires_grad_())):
        pair = (leaf, rho) if i == 0 else (mu, leaf)
        (gradient,) = torch.autograd.grad(0.7 * ops.gaussian_kl(*pair), leaf)
        assert torch.equal(gradient, both[i])


# --- transforms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_opcheck(dtype):
    mu, rho = (t.requires_grad_() for t in parameters((4, 5), dtype))
    torch.library.opcheck(OPERATOR, (mu, rho, 0.1, 0.5))
    grad = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    torch.library.opcheck(GRADIENT, (grad, mu, rho, 0.1, 0.5))


@pytest.mark.parametrize("in_dims", [(0, None), (None, 1), (1, 0)], ids=str)
def test_vmap(in_dims):
    arguments = [
        tensor if dim is None else torch.stack([tensor + i for i in range(3)], dim)
        for tensor, dim in zip(parameters((4, 5)), in_dims, strict=True)
    ]
    mapped = torch.vmap(ops.gaussian_kl, in_dims)(*arguments)
    derived = torch.vmap(torch.func.grad(ops.gaussian_kl, (0, 1)), in_dims)(*arguments)
    for i in range(3):
        one = [a if dim is None else a.select(dim, i) for a, dim in zip(arguments, in_dims, strict=True)]
        assert torch.equal(mapped[i], ops.gaussian_kl(*one))
        for ours, expected in zip(derived, torch.func.grad(ops.gaussian_kl, (0, 1))(*one), strict=True):
            assert torch.equal(ours[i], expected)


def test_functional_hessian():
    mu, rho = parameters((3,), torch.float64)
    hessian = torch.func.jacrev(torch.func.jacrev(lambda mu: ops.gaussian_kl(mu, rho, 0.0, 0.5)))(mu)
    torch.testing.assert_close(hessian, 4 * torch.eye(3, dtype=torch.float64))


def test_compile():
    inputs = tuple(t.requires_grad_() for t in parameters((20, 3)))

    def loss(mu, rho):
        return 0.1 * ops.gaussian_kl(mu.sin(), rho, 0.1, 0.5)

    ours, expected = torch.compile(loss, fullgraph=True, backend="aot_eager")(*inputs), loss(*inputs)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(*(torch.autograd.grad(x, inputs) for x in (ours, expected)), strict=True):
        torch.testing.assert_close(a, b)


def test_float16_and_autocast_compute_in_float32(device):
    mu, rho = parameters((20, 3))
    assert torch.equal(ops.gaussian_kl(mu.half(), rho.half()), ops.gaussian_kl(mu.half().float(), rho.half().float()))
    with torch.autocast(device, torch.bfloat16):
        assert torch.equal(ops.gaussian_kl(mu, rho), gaussian_at(mu, rho))
        mixed = ops.gaussian_kl(mu.bfloat16(), rho)
    assert torch.equal(mixed, ops.gaussian_kl(mu.bfloat16().float(), rho))


def gaussian_at(mu, rho):
    with torch.autocast(mu.device.type, enabled=False):
        return ops.gaussian_kl(mu, rho)


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("prior", PRIORS, ids=str)
def test_composite_of_the_gradient_is_the_same(prior, dtype):
    """What second derivatives are taken of."""
    mu, rho = parameters((7, 11), dtype)
    grad = torch.tensor(0.7, dtype=torch.float64)
    rounding = 16 * torch.finfo(dtype).eps
    for a, b in zip(
        _gaussian_kl_rules.gaussian_kl_grad(grad, mu, rho, *prior), GRADIENT(grad, mu, rho, *prior), strict=True
    ):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=rounding, atol=rounding * b.abs().max().item())


# --- errors -----------------------------------------------------------------------------------------------------------

MU = torch.zeros(2, 3)
GRAD = torch.ones((), dtype=torch.float64)
BAD = {
    "rho shape": ({"rho": MU[0]}, ValueError, r"'rho' must be of mu's shape \(2, 3\), got shape \(3,\)"),
    "dtype": ({"mu": MU.int()}, TypeError, "'mu' must be float32"),
    "rho dtype": ({"rho": MU.double()}, TypeError, "'rho' must be of the input's dtype"),
    "rho type": ({"rho": 1.0}, TypeError, "'rho' must be a tensor, got float"),
    "device": ({"rho": MU.to("meta")}, RuntimeError, "'rho' must be on the input's device"),
    "mean": ({"prior_mu": MU}, TypeError, "'prior_mu' must be a number, got Tensor"),
    "infinite mean": ({"prior_mu": math.inf}, ValueError, "'prior_mu' must be finite, got inf"),
    "deviation": ({"prior_sigma": 0.0}, ValueError, "'prior_sigma' must be greater than 0, got 0.0"),
    "nan": ({"prior_sigma": math.nan}, ValueError, "'prior_sigma' must be finite, got nan"),
}


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", BAD, ids=str)
def test_errors(case):
    bad, error, message = BAD[case]
    with pytest.raises(error, match=f"^gaussian_kl: argument {message}"):
        ops.gaussian_kl(**{"mu": MU, "rho": MU, **bad})


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((MU, MU[0], 0.0, 1.0), r"rho must have mu's shape \[2, 3\], not \[3\]"),
        ((MU, MU.double(), 0.0, 1.0), "rho must have the dtype"),
        ((MU, MU, 0.0, 0.0), "prior_sigma must be greater than 0 and finite, not 0"),
        ((MU, MU, 0.0, math.nan), "prior_sigma must be greater than 0 and finite, not nan"),
        ((MU.half(), MU.half(), 0.0, 1.0), "float16, which runs on CUDA only"),
    ],
)
def test_errors_of_the_compiled_operators(arguments, message):
    with pytest.raises(RuntimeError, match=f"gaussian_kl: .*{message}"):
        OPERATOR(*arguments)
    with pytest.raises(RuntimeError, match=f"gaussian_kl_grad: .*{message}"):
        GRADIENT(GRAD, *arguments)


@pytest.mark.cpu_only
def test_errors_of_the_gradient():
    for grad in (GRAD.float(), GRAD.reshape(1)):
        with pytest.raises(RuntimeError, match=r"gaussian_kl_grad: grad must be float64 of shape \[\]"):
            GRADIENT(grad, MU, MU, 0.0, 1.0)
