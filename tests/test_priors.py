import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import distributions, nn

import bayesops as bo
from bayesops import priors

MEANS = [0.0, 1e-3, -0.2, 0.7, -3.0]
SIGMAS = [1e-3, 0.05, 0.6, 1.0, 4.0]
GRID = [(mu, sigma) for mu in MEANS for sigma in SIGMAS]
PROPER = {
    "gaussian": (priors.Gaussian(), distributions.Normal(0.0, 1.0)),
    "shifted gaussian": (priors.Gaussian(-0.4, 0.3), distributions.Normal(-0.4, 0.3)),
    "laplace": (priors.Laplace(), distributions.Laplace(0.0, 1.0)),
    "shifted laplace": (priors.Laplace(0.5, 0.2), distributions.Laplace(0.5, 0.2)),
    "mixture": (
        priors.ScaleMixture(0.25, 1.0, 0.05),
        distributions.MixtureSameFamily(
            distributions.Categorical(torch.tensor([0.25, 0.75], dtype=torch.float64)),
            distributions.Normal(torch.zeros(2, dtype=torch.float64), torch.tensor([1.0, 0.05], dtype=torch.float64)),
        ),
    ),
    "student": (priors.Distribution(distributions.StudentT(3.0)), distributions.StudentT(3.0)),
}


def double(*values):
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def expected(function, mu, sigma, point):
    """E function(w) for w ~ N(mu, sigma²), where the function has a kink or a logarithmic pole at `point`.

    Gauss and Legendre in pieces, which shrink towards the point.
    """
    around = np.concatenate([-np.geomspace(24.0, 1e-12, 60), [0.0], np.geomspace(1e-12, 24.0, 60)]) * sigma
    low, high = mu - 12 * sigma, mu + 12 * sigma
    cuts = np.unique(np.clip(np.concatenate([point + around, np.linspace(low, high, 49)]), low, high))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half, middle = np.diff(cuts)[:, None] / 2, (cuts[1:] + cuts[:-1])[:, None] / 2
    w = middle + half * nodes
    return (half * weights * stats.norm(mu, sigma).pdf(w) * function(w)).sum()


@pytest.mark.parametrize("name", PROPER)
def test_log_prob(name):
    prior, law = PROPER[name]
    w = torch.cat([torch.linspace(-5, 5, 101), torch.tensor([-80.0, 90.0])]).double()
    torch.testing.assert_close(prior.log_prob(w), law.log_prob(w).double(), rtol=1e-6, atol=1e-6)
    grid = torch.linspace(-60, 60, 2_400_001, dtype=torch.float64)
    assert torch.trapezoid(prior.log_prob(grid).exp(), grid).item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("name", ["gaussian", "shifted gaussian", "laplace", "shifted laplace"])
class TestClosedForm:
    def test_against_torch(self, name):
        prior, law = PROPER[name]
        mu, sigma = torch.tensor(GRID).T
        ours = prior.kl(mu, sigma)
        assert ours.dtype == torch.float64
        q = distributions.Normal(mu.double(), sigma.double())
        torch.testing.assert_close(ours, distributions.kl_divergence(q, law).double(), rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize(("mu", "sigma"), GRID)
    def test_against_quadrature(self, name, mu, sigma):
        prior, _ = PROPER[name]

        def integrand(w):
            return stats.norm(mu, sigma).logpdf(w) - prior.log_prob(torch.from_numpy(w)).numpy()

        exact = expected(integrand, mu, sigma, prior.mu)
        assert prior.kl(*double(mu, sigma)).item() == pytest.approx(exact, rel=1e-9, abs=1e-9)

    def test_gradient(self, name):
        prior, _ = PROPER[name]
        mu, sigma = torch.tensor(GRID, dtype=torch.float64).T
        inputs = mu.clone().requires_grad_(), sigma.clamp_min(0.05).requires_grad_()
        assert torch.autograd.gradcheck(prior.kl, inputs)
        assert torch.autograd.gradgradcheck(prior.kl, inputs)


@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 1.0), (0.3, 0.1), (-2.0, 1e-6), (0.0, 1e4)])
def test_kl_is_zero_where_q_is_the_prior(mu, sigma):
    assert abs(priors.Gaussian(mu, sigma).kl(*double(mu, sigma)).item()) < 1e-15
    assert abs(priors.Distribution(distributions.Normal(mu, sigma)).kl(*double(mu, sigma)).item()) < 1e-6
    beside = priors.Gaussian(mu, sigma).kl(*double(mu + sigma / 10, sigma * 1.1))
    assert beside.item() > 1e-3


def test_kl_is_of_q_from_the_prior_and_not_the_other_way_round():
    wide, narrow = priors.Gaussian(0.0, 10.0).kl(*double(0.0, 1.0)), priors.Gaussian(0.0, 1.0).kl(*double(0.0, 10.0))
    assert wide.item() == pytest.approx(math.log(10) + 0.5 / 100 - 0.5)
    assert narrow.item() == pytest.approx(-math.log(10) + 50 - 0.5)


class TestLogUniform:
    prior = priors.LogUniform()

    @staticmethod
    def exact(log_alpha):
        """E log|1 + sqrt(alpha) z| − log(alpha) / 2 + (gamma + log 2) / 2, by quadrature on both sides of the pole."""
        root = math.exp(0.5 * log_alpha)
        mean = expected(lambda z: np.log(np.maximum(np.abs(1.0 + root * z), 1e-300)), 0.0, 1.0, -1.0 / root)
        return mean - 0.5 * log_alpha + 0.5 * (np.euler_gamma + math.log(2.0))

    def at(self, log_alpha, mu=1.0):
        return self.prior.kl(*double(mu, math.exp(0.5 * log_alpha) * abs(mu))).item()

    def test_approximation(self):
        """The stated 0.01 nats, over all alpha: beyond both ends the two have the same limit."""
        errors = [self.at(a) - self.exact(a) for a in np.linspace(-12.0, 12.0, 97)]
        assert 0.009 < max(map(abs, errors)) < 0.01

    def test_sign_and_limits(self):
        values = [self.at(a) for a in np.linspace(-30.0, 30.0, 61)]
        assert all(a > b for a, b in itertools.pairwise(values))
        assert 0 <= self.at(60.0) < 1e-12
        assert self.prior.kl(*double(0.0, 0.3)).item() == 0.0
        assert self.at(-30.0) == pytest.approx(15.0 + self.prior._K1, rel=1e-9)

    def test_depends_on_alpha_alone(self):
        assert self.at(-1.5, mu=-0.01) == pytest.approx(self.at(-1.5, mu=30.0), rel=1e-12)

    def test_log_prob_has_the_constant_of_the_divergence(self):
        for mu, sigma in [(0.5, 0.2), (1.0, 1.0), (-0.1, 0.5)]:
            negative_entropy = -0.5 * math.log(2 * math.pi * math.e * sigma**2)
            log_prior = expected(lambda w: self.prior.log_prob(torch.from_numpy(w)).numpy(), mu, sigma, 0.0)
            exact = self.exact(2 * math.log(sigma / abs(mu)))
            assert negative_entropy - log_prior == pytest.approx(exact, abs=1e-9)

    def test_gradient(self):
        mu, sigma = torch.tensor([0.3, -2.0, 1e-3, 5.0]).double(), torch.tensor([0.5, 0.1, 1.0, 0.01]).double()
        assert torch.autograd.gradcheck(self.prior.kl, (mu.requires_grad_(), sigma.requires_grad_()))
        zero = torch.zeros((), requires_grad=True)
        self.prior.kl(zero, torch.ones(())).backward()
        assert zero.grad.item() == 0.0


class TestScaleMixture:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_tails_are_finite(self, dtype):
        """The peers' −inf: the density itself underflows at 40 sigma."""
        w = torch.tensor([0.0, 30.0, -100.0, 1e4], dtype=dtype, requires_grad=True)
        value = priors.ScaleMixture(0.5, 1.0, 0.0025).log_prob(w)
        exact = stats.norm.logpdf(w.detach().double().numpy()) + math.log(0.5)
        np.testing.assert_allclose(value.detach().numpy()[1:], exact[1:], rtol=1e-6)
        value.sum().backward()
        torch.testing.assert_close(w.grad, -w.detach())

    @pytest.mark.parametrize(("pi", "sigma"), [(1.0, 0.3), (0.0, 2.0)])
    def test_one_component(self, pi, sigma):
        w = torch.linspace(-3, 3, 7, requires_grad=True)
        value = priors.ScaleMixture(pi, 0.3, 2.0).log_prob(w)
        torch.testing.assert_close(value, priors.Gaussian(0.0, sigma).log_prob(w))
        assert torch.autograd.grad(value.sum(), w)[0].isfinite().all()

    def test_has_no_closed_form(self):
        prior = priors.ScaleMixture(0.5, 1.0, 0.1)
        assert not prior.has_closed_form
        assert prior.kl(torch.zeros(3), torch.ones(3)) is None


class TestDistribution:
    def test_closed_form_where_torch_has_one(self):
        mu, sigma = torch.tensor(GRID).T
        for law in (distributions.Gumbel(0.1, 0.8), distributions.Normal(0.1, torch.full((len(GRID),), 0.8))):
            prior = priors.Distribution(law)
            assert prior.has_closed_form
            q = distributions.Normal(mu.double(), sigma.double())
            torch.testing.assert_close(prior.kl(mu, sigma), distributions.kl_divergence(q, law).double())

    def test_none_elsewhere(self):
        prior = priors.Distribution(distributions.StudentT(3.0))
        assert not prior.has_closed_form
        assert prior.kl(torch.zeros(()), torch.ones(())) is None

    def test_densities_without_checks(self):
        """As they are asked for on a GPU, which would have to wait for a check's answer."""
        part = distributions.HalfNormal(torch.tensor([0.5, 2.0]), validate_args=True)
        law = distributions.MixtureSameFamily(distributions.Categorical(torch.tensor([0.3, 0.7])), part)
        outside, inside = torch.tensor([-1.0]), torch.tensor([0.2, 1.0])
        with pytest.raises(ValueError, match="within the support"):
            priors.Distribution(law).log_prob(outside)
        unchecked = priors.without_checks(law)
        unchecked.log_prob(outside)
        assert torch.equal(unchecked.log_prob(inside), law.log_prob(inside))
        with pytest.raises(ValueError, match="within the support"):  # and the law itself is as it was
            part.log_prob(outside)


def test_tensors_are_buffers_and_parameters_stay_parameters():
    mean = torch.randn(4, 3)
    prior = priors.Gaussian(mean, 0.2)
    assert torch.equal(prior.state_dict()["mu"], mean)
    assert prior.to(torch.float64).mu.dtype == torch.float64
    w, sigma = torch.randn(2, 4, 3).double(), torch.rand(4, 3).double() + 0.1
    torch.testing.assert_close(prior.log_prob(w), distributions.Normal(mean.double(), 0.2).log_prob(w).double())
    assert prior.kl(mean, sigma).shape == (4, 3)
    learned = priors.Gaussian(0.0, nn.Parameter(torch.tensor(0.5)))
    learned.kl(*double(0.0, 1.0)).backward()
    assert learned.sigma.grad.item() == pytest.approx(1 / 0.5 - 1 / 0.5**3)
    assert not priors.Gaussian().state_dict()


def test_as_prior():
    prior = priors.Laplace(0.0, 2.0)
    assert priors.as_prior(prior) is prior
    default = priors.as_prior(None)
    assert isinstance(default, priors.Gaussian)
    assert (default.mu, default.sigma) == (0.0, 1.0)
    law = distributions.Cauchy(0.0, 1.0)
    assert priors.as_prior(law).distribution is law
    with pytest.raises(TypeError, match=r"^as_prior: argument 'prior' must be a bayesops.priors.Prior.*got str"):
        priors.as_prior("gaussian")
    with pytest.raises(TypeError, match=r"^layer: argument 'bias_prior' must be a bayesops.priors.Prior.*got str"):
        priors.as_prior("gaussian", "layer", "bias_prior")


@pytest.mark.parametrize("name", ["Gaussian", "Laplace", "LogUniform"])
def test_divergences_are_computed_in_double_precision(name):
    prior = getattr(priors, name)(*[torch.tensor(value) for value in (0.1, 0.3) if name != "LogUniform"])
    mu, sigma = torch.randn(50), torch.rand(50) + 0.1
    divergence = prior.kl(mu, sigma)
    assert divergence.dtype == torch.float64
    assert torch.equal(divergence, prior.double().kl(mu.double(), sigma.double()))


def test_a_weight_that_hardly_varies_has_a_finite_divergence():
    assert priors.LogUniform().kl(*torch.tensor([1.0, 1e-150], dtype=torch.float64)).isfinite()


def test_repr():
    assert repr(bo.priors.Gaussian()) == "Gaussian(mu=0.0, sigma=1.0)"
    assert repr(priors.Gaussian(torch.zeros(2, 3), 1)) == "Gaussian(mu=tensor(2, 3), sigma=1.0)"
    assert repr(priors.ScaleMixture(0.5, 1, 0.1)) == "ScaleMixture(pi=0.5, sigma1=1.0, sigma2=0.1)"
    assert repr(priors.Laplace(0.0, 2.0)) == "Laplace(mu=0.0, scale=2.0)"
    assert repr(priors.LogUniform()) == "LogUniform()"
    assert "StudentT" in repr(priors.Distribution(distributions.StudentT(3.0)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: priors.Gaussian(0.0, 0.0), ValueError, "Gaussian: argument 'sigma' must be greater than 0, got 0.0"),
        (lambda: priors.Gaussian(0.0, -1.0), ValueError, "Gaussian: argument 'sigma' must be greater than 0"),
        (lambda: priors.Gaussian(math.nan), ValueError, "Gaussian: argument 'mu' must be finite"),
        (lambda: priors.Gaussian("0"), TypeError, "Gaussian: argument 'mu' must be a number or a floating tensor"),
        (lambda: priors.Gaussian(torch.zeros(2).int()), TypeError, "Gaussian: argument 'mu' must be a number"),
        (lambda: priors.Gaussian(0.0, torch.zeros(2)), ValueError, "'sigma' must be greater than 0 everywhere"),
        (lambda: priors.Gaussian(0.0, torch.tensor([1.0, -1.0])), ValueError, "'sigma' must be greater than 0 every"),
        (lambda: priors.Laplace(0.0, -0.5), ValueError, "Laplace: argument 'scale' must be greater than 0"),
        (lambda: priors.ScaleMixture(1.5, 1.0, 1.0), ValueError, r"'pi' must be in \[0, 1\].*got 1.5"),
        (lambda: priors.ScaleMixture(0.5, 0.0, 1.0), ValueError, "ScaleMixture: argument 'sigma1' must be greater"),
        (lambda: priors.ScaleMixture(0.5, 1.0, -1.0), ValueError, "ScaleMixture: argument 'sigma2' must be greater"),
        (lambda: priors.ScaleMixture(0.5, torch.ones(()), 1.0), TypeError, "'sigma1' must be a number"),
        (lambda: priors.Distribution(3), TypeError, "Distribution: argument 'distribution' must be a torch.dist"),
        (
            lambda: priors.Distribution(distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))),
            ValueError,
            r"'distribution' must be a distribution of scalars .*got event shape \(2,\)",
        ),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_package_stays_light():
    program = "import sys, bayesops; bayesops.priors.Gaussian(); sys.exit(any('scipy' in m for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=300).returncode == 0


def test_molchanovs_constants_are_those_of_the_paper():
    """Eq. 14 at alpha = 1, written out with the negative divergence of the paper."""
    k1, k2, k3 = 0.63576, 1.87320, 1.48695
    paper = k1 * special.expit(k2 + k3 * 0.0) - 0.5 * math.log1p(1.0) - k1
    assert priors.LogUniform().kl(*double(1.0, 1.0)).item() == pytest.approx(-paper, rel=1e-12)


@pytest.mark.cuda
@pytest.mark.parametrize("prior", [priors.Gaussian, priors.Laplace])
@pytest.mark.parametrize("size", [(), (2, 3)], ids=str)
def test_tensors_go_where_the_layer_is_made(prior, size):
    def made(device):
        layer = bo.nn.GaussianLinear(3, 2, bias=False, device=device, prior=prior(torch.zeros(size), torch.ones(size)))
        nn.init.constant_(layer.weight_mu, 0.5)
        return layer

    assert made("meta").prior.mu.device.type == "cpu"  # where they are not lost
    torch.testing.assert_close(made("cuda").kl_loss().cpu(), made("cpu").kl_loss())
    plain = nn.Linear(3, 2, device="cuda")
    converted = bo.convert(plain, "gaussian", prior=prior(torch.zeros(()), torch.ones(())))
    assert converted.kl_loss().device.type == "cuda"
