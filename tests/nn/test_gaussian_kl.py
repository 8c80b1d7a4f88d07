"""The divergence of the Gaussian layers from their priors: closed forms, and Monte Carlo."""

import math

import pytest
import torch
from torch.nn import functional

import bayesops as bo
from bayesops.nn._posterior import Posterior


@pytest.fixture
def normals(sigma_of):
    def normals(layer):
        yield torch.distributions.Normal(layer.weight_mu.double(), sigma_of(layer).double())
        yield torch.distributions.Normal(layer.bias_mu.double(), functional.softplus(layer.bias_rho).double())

    return normals


@pytest.mark.parametrize("variance", ["rho", "alpha"])
def test_closed_form_kl_is_torchs(variance, spread_out, normals):
    layer = spread_out(bo.nn.GaussianConv2d(3, 4, 3, prior=bo.priors.Gaussian(0.1, 0.5), variance=variance))
    prior = torch.distributions.Normal(torch.tensor(0.1).double(), 0.5)
    expected = sum(torch.distributions.kl_divergence(q, prior).sum() for q in normals(layer))
    torch.testing.assert_close(layer.kl_loss(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(layer.kl_loss("mean"), expected / (4 * 3 * 9 + 4), rtol=1e-6, atol=0)
    layer.kl_loss().backward()
    assert all(p.grad.count_nonzero() > 0 for p in layer.parameters())


@pytest.mark.parametrize("mean", [0.0, 0.3, [0.1, -0.4, 2.0]], ids=str)
def test_kl_under_a_normal_prior_is_the_priors(mean):
    """The sum that is taken in a few passes: value, gradients of two orders, vmap, half precision."""
    prior = bo.priors.Gaussian(torch.tensor(mean, dtype=torch.float64) if isinstance(mean, list) else mean, 0.7)

    def ours(mu, rho):
        return Posterior(mu, rho, None, prior, 0).closed_form_kl()

    def elementwise(mu, rho):
        return prior.kl(mu, functional.softplus(rho)).sum()

    mu, rho = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    torch.testing.assert_close(ours(mu, rho), elementwise(mu, rho))
    torch.testing.assert_close(
        torch.autograd.grad(3 * ours(mu, rho), (mu, rho)), torch.autograd.grad(3 * elementwise(mu, rho), (mu, rho))
    )
    assert torch.autograd.gradgradcheck(ours, (mu, rho))
    for function in (ours, torch.func.grad(ours, 1)):
        mapped = torch.vmap(function)(mu, rho)
        torch.testing.assert_close(mapped, torch.stack([function(*row) for row in zip(mu, rho, strict=True)]))
    half = [p.detach().bfloat16().requires_grad_() for p in (mu, rho)]
    torch.testing.assert_close(ours(*half), elementwise(*(p.double() for p in half)), rtol=1e-6, atol=0)
    assert all(gradient.dtype == torch.bfloat16 for gradient in torch.autograd.grad(ours(*half), half))


def test_kl_compiles():
    layer = bo.nn.GaussianLinear(5, 3)
    compiled = torch.compile(lambda: layer.kl_loss(), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(), layer.kl_loss())
    compiled().backward()
    expected = torch.autograd.grad(layer.kl_loss(), layer.weight_rho)[0]
    torch.testing.assert_close(layer.weight_rho.grad, expected)


def test_kl_is_zero_at_the_prior():
    sigma = 0.25
    for dtype, bound in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        layer = bo.nn.GaussianLinear(
            5, 3, dtype=dtype, prior=bo.priors.Gaussian(0.5, sigma), rho_init=math.log(math.expm1(sigma))
        )
        with torch.no_grad():
            layer.weight_mu.fill_(0.5)
            layer.bias_mu.fill_(0.5)
        assert layer.kl_loss("mean").abs() < bound
        layer.prior = bo.priors.Distribution(torch.distributions.Normal(torch.tensor(0.5).double(), sigma))
        assert layer.kl_loss("mean").abs() < bound


def test_bias_prior(normals):
    layer = bo.nn.GaussianLinear(5, 3, prior=bo.priors.Gaussian(0.0, 2.0), bias_prior=bo.priors.Laplace(0.0, 0.5))
    weight, bias = normals(layer)
    expected = layer.prior.kl(weight.mean, weight.stddev).sum() + layer.bias_prior.kl(bias.mean, bias.stddev).sum()
    torch.testing.assert_close(layer.kl_loss(), expected, rtol=1e-6, atol=0)


@pytest.fixture
def log_ratio(normals):
    def log_ratio(layer, weight, bias):
        """Log q − log prior at given weights."""
        prior = layer.prior if layer.bias_prior is None else layer.bias_prior
        return sum(
            (q.log_prob(w.double()) - p.log_prob(w.double())).sum()
            for q, w, p in zip(normals(layer), (weight, bias), (layer.prior, prior), strict=True)
        )

    return log_ratio


MIXTURE = bo.priors.ScaleMixture(0.25, 1.0, 0.1)


@pytest.mark.parametrize("variance", ["rho", "alpha"])
def test_monte_carlo_kl_is_at_the_weights_of_the_forward_pass(variance, drawn_parameters, log_ratio):
    """Within a block: first the network, then its divergence at the weights that it drew."""
    layer = bo.nn.GaussianLinear(5, 3, prior=MIXTURE, estimator="weight_sample", variance=variance)
    other = bo.nn.GaussianLinear(4, 5)
    with bo.sampling(seed=9):
        output = layer(other(torch.eye(4)))
        kl = layer.kl_loss()
    weight, bias = drawn_parameters(layer, 9, 1)
    with bo.sampling(seed=9):
        torch.testing.assert_close(output, functional.linear(other(torch.eye(4)), weight, bias))
    torch.testing.assert_close(kl, log_ratio(layer, weight, bias), rtol=1e-5, atol=1e-5)


def test_monte_carlo_kl_over_several_draws(device, drawn_parameters, log_ratio):
    layer = bo.nn.GaussianLinear(5, 3, prior=MIXTURE)
    with bo.sampling(seed=9):
        kl = layer.kl_loss(num_samples=4)
    terms = [
        log_ratio(layer, *drawn_parameters(layer, seed, 0)) for seed in bo.random.sample_seeds(9, 4, device=device)
    ]
    torch.testing.assert_close(kl, sum(terms) / 4, rtol=1e-5, atol=1e-5)


def test_monte_carlo_kl_agrees_with_the_closed_form():
    """Mean of 2000 estimates within 5 of its standard errors: false alarm in 6e-7 of the runs."""

    class OpenGaussian(bo.priors.Gaussian):
        has_closed_form = False

    layer = bo.nn.GaussianLinear(5, 3, prior=OpenGaussian(0.1, 0.3), rho_init=-1.0)
    with torch.no_grad(), bo.sampling(seed=1):
        draws = torch.stack([layer.freeze_noise(seed).kl_loss() for seed in range(2000)])
    layer.prior = bo.priors.Gaussian(0.1, 0.3)
    error = (draws.mean() - layer.kl_loss()).abs()
    assert error < 5 * draws.std() / math.sqrt(2000)
    assert draws.std() > 0.1


def test_monte_carlo_kl_of_the_bias_alone(drawn_parameters, normals):
    """A closed form for the weights beside an estimate for the biases."""
    layer = bo.nn.GaussianLinear(5, 3, bias_prior=MIXTURE)
    with bo.sampling(seed=9):
        kl = layer.kl_loss()
    weight, bias = normals(layer)
    _, drawn = drawn_parameters(layer, 9, 0)
    closed = torch.distributions.kl_divergence(weight, torch.distributions.Normal(0.0, 1.0)).sum()
    sampled = (bias.log_prob(drawn.double()) - MIXTURE.log_prob(drawn.double())).sum()
    torch.testing.assert_close(kl, closed + sampled, rtol=1e-6, atol=1e-5)


def test_monte_carlo_kl_trains():
    layer = bo.nn.GaussianLinear(5, 3, prior=MIXTURE)
    layer.kl_loss().backward()
    assert all(p.grad.count_nonzero() == p.numel() for p in layer.parameters())


def test_a_closed_form_draws_nothing(generator_state):
    layer, state = bo.nn.GaussianLinear(5, 3), generator_state()
    layer.kl_loss()
    assert torch.equal(generator_state(), state)


def test_variational_dropout_depends_on_alpha_alone():
    """Also where a mean is 0, and its standard deviation with it."""
    layer = bo.nn.GaussianLinear(5, 3, bias=False, prior=bo.priors.LogUniform(), variance="alpha", log_alpha_init=-1.0)
    expected = layer.kl_loss()
    with torch.no_grad():
        layer.weight_mu.zero_()
    assert torch.equal(layer.kl_loss(), expected)
    layer.kl_loss().backward()
    assert (layer.weight_log_alpha.grad < 0).all()  # more noise is nearer to the prior


def test_half_precision_is_summed_in_float64():
    layer = bo.nn.GaussianLinear(300, 300, dtype=torch.bfloat16, bias=False)
    sigma = functional.softplus(layer.weight_rho.double())
    expected = layer.prior.kl(layer.weight_mu.double(), sigma).sum()
    torch.testing.assert_close(layer.kl_loss(), expected, rtol=1e-5, atol=0)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("max",), "GaussianLinear: argument 'reduction' must be one of 'sum', 'mean', got 'max'"),
        (("sum", 0), "GaussianLinear: argument 'num_samples' must be an int of at least 1, got 0"),
    ],
)
def test_kl_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        bo.nn.GaussianLinear(2, 3).kl_loss(*arguments)


def test_a_prior_of_another_shape_is_refused():
    """The weight's own prior mean would spread over the bias, and count it twice as often."""
    layer = bo.nn.GaussianLinear(3, 3, prior=bo.priors.Gaussian(torch.zeros(3, 3), 1.0))
    with pytest.raises(
        ValueError, match=r"kl_loss: argument 'prior' must be one whose kl has .* shape \(3,\), got \(3, 3\)"
    ):
        layer.kl_loss()


@pytest.mark.parametrize("kind", [bo.priors.Gaussian, bo.priors.Laplace])
@pytest.mark.parametrize(
    "parameters", [(torch.zeros(5), 1.0), (0.0, torch.ones(5)), (torch.zeros(1, 3), torch.ones(5))]
)
def test_a_prior_that_does_not_broadcast_is_refused(kind, parameters):
    layer = bo.nn.GaussianLinear(3, 4, bias=False, prior=kind(*parameters))
    with pytest.raises(ValueError, match=r"kl_loss: argument 'prior' must be .* shape \(4, 3\), got \(5,\)"):
        layer.kl_loss()


@pytest.mark.parametrize(
    "prior", [bo.priors.Laplace(), bo.priors.LogUniform(), bo.priors.Gaussian(0.0, torch.ones(()))]
)
@pytest.mark.parametrize("rho", [-95.0, -105.0])
def test_gradients_of_standard_deviations_that_are_subnormal(prior, rho, device):
    layer = bo.nn.GaussianLinear(2, 2, prior=prior, rho_init=rho).to(device)  # and the prior, made on the CPU
    layer.kl_loss().backward()
    torch.testing.assert_close(layer.weight_rho.grad, torch.full((2, 2), -1.0))
