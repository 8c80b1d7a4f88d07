"""Gaussian and Laplace likelihoods: against torch.distributions and quadrature, at extreme variances, and shapes."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn
from torch.distributions import Laplace, Normal

import bayesops as bo
from bayesops.losses import gaussian_nll, laplace_nll

LOSSES = {
    gaussian_nll: lambda mean, log_var: Normal(mean, torch.exp(log_var / 2)),
    laplace_nll: lambda mean, log_var: Laplace(mean, torch.exp((log_var - math.log(2)) / 2)),
}
BOTH = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)


def doubles(*shape):
    return torch.randn(shape, dtype=torch.float64)


def exact(loss, mean, target, log_var):
    return -LOSSES[loss](mean, log_var).log_prob(target)


@BOTH
@pytest.mark.parametrize(
    ("shape", "of_log_var", "broadcast"),
    [
        ((5,), (5,), (5,)),
        ((5,), (), ()),
        ((5,), (1,), (1,)),
        ((5, 3), (5, 3), (5, 3)),
        ((5, 3), (3,), (1, 3)),
        ((5, 3), (1,), ()),
        ((3, 3), (3,), (1, 3)),
        ((5, 3), (5, 1), (5, 1)),
        ((2, 3, 4, 4), (3,), (1, 3, 1, 1)),
        ((2, 3, 4, 4), (2, 1, 4, 4), (2, 1, 4, 4)),
        ((2, 3, 4, 4), (1, 3, 1, 1), (1, 3, 1, 1)),
        ((), (), ()),
    ],
    ids=str,
)
def test_it_is_the_negative_log_density(loss, shape, of_log_var, broadcast):
    mean, target, log_var = doubles(*shape), doubles(*shape), 2 * doubles(*of_log_var)
    expected = exact(loss, mean, target, log_var.reshape(broadcast).expand(shape))
    torch.testing.assert_close(loss(mean, target, log_var, reduction="none"), expected)
    torch.testing.assert_close(loss(mean, target, log_var), expected.mean())
    torch.testing.assert_close(loss(mean, target, log_var, reduction="sum"), expected.sum())


@BOTH
def test_a_number_stands_for_a_log_variance_that_is_known(loss):
    mean, target = doubles(4, 2), doubles(4, 2)
    torch.testing.assert_close(loss(mean, target, 0.5), exact(loss, mean, target, torch.tensor(0.5).double()).mean())
    torch.testing.assert_close(loss(mean, target, np.float32(0.5)), loss(mean, target, 0.5))


@BOTH
def test_a_known_log_variance_is_not_rounded_to_half_precision(loss):
    mean, target = torch.zeros(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)
    assert torch.equal(loss(mean, target, -4.605), loss(mean.float(), target.float(), -4.605))


@BOTH
@pytest.mark.parametrize("log_var", [-8.0, 0.0, 6.0])
def test_the_density_integrates_to_one_and_has_the_variance_that_is_told(loss, log_var):
    deviation = math.exp(log_var / 2)

    def moment(power):
        """Of the standardised target."""

        def integrand(u):
            target = torch.tensor(0.3 + deviation * u, dtype=torch.float64)
            return u**power * deviation * math.exp(-float(loss(torch.tensor(0.3).double(), target, log_var)))

        return sum(quad(integrand, *limits, epsabs=1e-12)[0] for limits in ((-30, 0), (0, 30)))

    assert moment(0) == pytest.approx(1, rel=1e-9)
    assert moment(2) == pytest.approx(1, rel=1e-9)


@BOTH
@pytest.mark.parametrize("shape", [(4, 3), (3,), (), (4, 1)])
def test_gradients(loss, shape):
    inputs = [value.requires_grad_() for value in (doubles(4, 3), doubles(4, 3), doubles(*shape))]
    assert torch.autograd.gradcheck(lambda *args: loss(*args, reduction="none"), inputs)
    assert torch.autograd.gradgradcheck(lambda *args: loss(*args), inputs)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("log_var", [-50.0, -20.0, 20.0, 50.0])
def test_extreme_variances(loss, dtype, log_var):
    """Value and gradients are those of float64, up to rounding, whatever the residual, if they are in the range."""
    largest = 1e12 * math.exp(log_var / 2)  # its square alone may be past float32's range, and exp(-log_var), too
    residuals = torch.tensor([0.0, 1e-30, -1e-12, 1.0, -1e3, largest], dtype=dtype)
    inputs = [torch.zeros_like(residuals), torch.full_like(residuals, log_var)]
    results = []
    for precision in (dtype, torch.float64):
        mean, s = (value.to(precision, copy=True).requires_grad_() for value in inputs)
        nll = loss(mean, residuals.to(precision), s, reduction="none")
        nll.sum().backward()
        results.append((nll.double(), mean.grad.double(), s.grad.double()))
    tolerance = 1e-5 if dtype == torch.float32 else 2**-8
    for got, wanted in zip(*results, strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got, wanted, rtol=tolerance, atol=1e-30)


@BOTH
def test_a_perfect_fit_gives_the_constant_and_pulls_the_variance_down(loss):
    mean = torch.ones(3, requires_grad=True)
    log_var = torch.tensor([-50.0, -160.0, 50.0], requires_grad=True)
    nll = loss(mean, torch.ones(3), log_var, reduction="none")
    nll.sum().backward()
    constant = math.log(2 * math.pi) if loss is gaussian_nll else math.log(2)
    torch.testing.assert_close(nll, (log_var + constant) / 2)
    assert mean.grad.tolist() == [0, 0, 0]
    assert log_var.grad.tolist() == [0.5, 0.5, 0.5]


@BOTH
def test_half_precision_is_computed_in_float32(loss):
    mean, target, log_var = (torch.randn(200).bfloat16() for _ in range(3))
    nll = loss(mean, target, log_var)
    assert nll.dtype == torch.float32
    assert nll == loss(mean.float(), target.float(), log_var.float())
    assert loss(mean.float(), target.double(), log_var).dtype == torch.float32
    assert loss(mean, target, log_var.double()).dtype == torch.float64
    assert torch.equal(loss(mean, torch.ones(200).long(), log_var), loss(mean, torch.ones(200), log_var))


@BOTH
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 1, 4)])
def test_masked_targets_count_for_nothing(loss, shape):
    mask = torch.rand(shape) < 0.5
    everywhere = mask.expand(2, 3, 4)
    mean, log_var = (doubles(2, 3, 4).requires_grad_() for _ in range(2))
    target = doubles(2, 3, 4)
    expected = exact(loss, mean[everywhere], target[everywhere], log_var[everywhere])
    wanted = torch.autograd.grad(expected.mean(), (mean, log_var))
    target[~everywhere] = torch.nan
    value = loss(mean, target, log_var, mask=mask)
    torch.testing.assert_close(value, expected.mean())
    torch.testing.assert_close(torch.autograd.grad(value, (mean, log_var)), wanted)
    torch.testing.assert_close(loss(mean, target, log_var, mask=mask, reduction="sum"), expected.sum())
    elements = loss(mean, target, log_var, mask=mask, reduction="none")
    assert (elements[~everywhere] == 0).all()
    torch.testing.assert_close(elements[everywhere], expected)


@BOTH
def test_where_nothing_counts_the_mean_is_that_of_an_empty_tensor(loss):
    mean, nowhere = torch.zeros(3, requires_grad=True), torch.zeros(3, dtype=torch.bool)
    assert loss(mean, torch.ones(3), 0.0, mask=nowhere).isnan()
    loss(mean, torch.ones(3), 0.0, mask=nowhere, reduction="sum").backward()
    assert mean.grad.tolist() == [0, 0, 0]


@BOTH
def test_transforms(loss):
    mean, target, log_var = doubles(5, 3), doubles(5, 3), doubles(3)
    expected = loss(mean, target, log_var)
    torch.testing.assert_close(torch.compile(loss, fullgraph=True)(mean, target, log_var), expected)
    by_example = torch.vmap(loss, in_dims=(0, 0, None))(mean, target, log_var)
    torch.testing.assert_close(by_example.mean(), expected)
    gradients = torch.vmap(torch.func.grad(lambda s, m: loss(m, target, s)), in_dims=(0, None))(
        torch.stack([log_var, log_var]), mean
    )
    torch.testing.assert_close(gradients[0], torch.func.grad(lambda s: loss(mean, target, s))(log_var))


@pytest.mark.parametrize(
    ("loss", "noise"),
    [(gaussian_nll, Normal(0.0, 0.2)), (laplace_nll, Laplace(0.0, 0.3))],
    ids=["gaussian", "laplace"],
)
def test_a_parameter_learns_the_level_of_the_noise(loss, noise):
    """2000 data: the estimate's standard error is 3.2 % (Gaussian) or 4.5 % (Laplace) of the variance."""
    x = torch.rand(2000, 1)
    y = 3 * x - 1 + noise.sample(x.shape)
    model, log_var = nn.Linear(1, 1), nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.Adam([*model.parameters(), log_var], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss(model(x), y, log_var).backward()
        optimizer.step()
    assert float(log_var.detach().exp()) == pytest.approx(float(noise.variance), rel=0.15)


def test_an_output_learns_where_the_noise_is():
    x = torch.rand(2000, 1)
    noisy = (x > 0.5).float()
    y = torch.randn(2000, 1) * (0.1 + 0.9 * noisy)
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(400):
        mean, log_var = model(torch.cat([noisy, 1 - noisy], 1)).chunk(2, dim=1)
        optimizer.zero_grad()
        gaussian_nll(mean, y, log_var).backward()
        optimizer.step()
    deviations = torch.stack([log_var[noisy == 1][0], log_var[noisy == 0][0]]).div(2).exp()
    torch.testing.assert_close(deviations.detach(), torch.tensor([1.0, 0.1]), rtol=0.15, atol=0)


def test_the_elbo_and_predict_take_the_same_pair():
    """A model that returns mean and log variance: several samples in training, law of total variance at prediction."""

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = bo.nn.GaussianLinear(2, 2, rho_init=-2.0)

        def forward(self, x):
            return self.layer(x).chunk(2, dim=1)

    model, x, y = Pair(), torch.randn(6, 2), torch.randn(6, 1)
    elbo = bo.losses.ELBO(
        model, 100, num_samples=3, nll=lambda output, target: gaussian_nll(output[0], target, output[1])
    )
    seeds, expected = bo.random.sample_seeds(0, 3), []
    for seed in seeds:
        with bo.sampling(seed):
            mean, log_var = model(x)
        expected.append(exact(gaussian_nll, mean, y, log_var).mean())
    torch.testing.assert_close(elbo.terms(x, y, seed=seeds).nll, torch.stack(expected).mean())
    assert bo.predict(model, x, num_samples=3, link="gaussian").aleatoric_variance.shape == (6, 1)


@BOTH
@pytest.mark.parametrize(
    ("shapes", "argument", "message"),
    [
        ([(5, 1), (5,), ()], "target", r"of the mean's shape \(5, 1\), got shape \(5,\)"),
        ([(5,), (5, 1), ()], "target", r"of the mean's shape \(5,\), got shape \(5, 1\)"),
        ([(5, 1), (5, 1), (5,)], "log_var", r"of the mean's shape \(5, 1\), any .* \(1,\) .*, got shape \(5,\)"),
        ([(5,), (5,), (5, 1)], "log_var", r"of the mean's shape \(5,\), any dimension 1, or \(\) .*\(5, 1\)"),
        ([(5, 3), (5, 3), (5,)], "log_var", r"\(3,\) for one per output, or \(\) for one, got shape \(5,\)"),
        ([(2, 3, 4), (2, 3, 4), (4,)], "log_var", r"\(3,\) for one per output"),
        ([(1, 3), (1, 3), (2, 3)], "log_var", r"got shape \(2, 3\)"),
        ([(5, 3), (5, 3), (1, 1, 1)], "log_var", r"got shape \(1, 1, 1\)"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit(loss, shapes, argument, message):
    with pytest.raises(ValueError, match=rf"{loss.__name__}: argument '{argument}' must be .*{message}"):
        loss(*map(torch.zeros, shapes))


@BOTH
@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (TypeError, {"mean": 1.0}, "'mean' must be a tensor, got float"),
        (TypeError, {"mean": torch.zeros(3).long()}, "'mean' must be float32, .*got torch.int64"),
        (TypeError, {"target": [1.0]}, "'target' must be a tensor, got list"),
        (TypeError, {"log_var": None}, "'log_var' must be a tensor, got NoneType"),
        (TypeError, {"mask": torch.ones(3)}, "'mask' must be a bool tensor, got torch.float32"),
        (ValueError, {"mask": torch.ones(2).bool()}, r"'mask' must be of the mean's shape \(3,\).*got shape \(2,\)"),
        (ValueError, {"reduction": "avg"}, "'reduction' must be one of 'none', 'mean', 'sum', got 'avg'"),
    ],
)
def test_errors(loss, error, arguments, message):
    good = {"mean": torch.zeros(3), "target": torch.zeros(3), "log_var": torch.zeros(3)}
    with pytest.raises(error, match=f"{loss.__name__}: argument {message}"):
        loss(**(good | arguments))
