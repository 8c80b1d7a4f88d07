import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions

from bayesops import ops, priors, random
from bayesops.reference.sample_gaussian import sample_gaussian

FALSE_ALARM = 1e-6
SEEDS = torch.tensor([3, -8, 2**62 + 5])
STREAM = 2**31 + 7
# None, one, a vector and one more, a piece of 1024 and one more or less, several pieces.
SHAPES = [(), (1,), (17,), (5, 3, 3, 3), (1023,), (1024,), (1025,), (40, 113), (2, 0, 3)]
SPREADS = ["rho", "log_alpha"]
FUSED = {
    "none": None,
    "gaussian": priors.Gaussian(0.1, 0.5),
    "laplace": priors.Laplace(-0.1, 0.5),
    "mixture": priors.ScaleMixture(0.25, 1.0, 0.05),
    "mixture, narrow first": priors.ScaleMixture(0.25, 0.05, 1.0),
    "mixture of one": priors.ScaleMixture(1.0, 0.3, 2.0),
    "mixture of the other": priors.ScaleMixture(0.0, 0.3, 2.0),
}
# Those that follow the pass in plain PyTorch, made where their tensors belong; means are of the shape [3].
PLAIN = {
    "log uniform": priors.LogUniform,
    "moped": lambda: priors.Gaussian(torch.tensor([0.5, -0.5, 2.0]), 0.3),
    "student": lambda: distributions.StudentT(3.0),
}


def parameters(shape, dtype=torch.float32, low=-6.0, high=3.0):
    mu = torch.randn(shape, dtype=torch.float64).mul(0.5)
    spread = torch.rand(shape, dtype=torch.float64) * (high - low) + low
    return mu.to(dtype), spread.to(dtype)


def assert_sums_agree(ours, exact, count, dtype, scale):
    """To a few roundings of single terms of size `scale`: they are independent and grow as the root of their number."""
    assert ours.dtype == torch.float64
    tolerance = 4 * torch.finfo(dtype).eps * scale * math.sqrt(max(count, 1))
    torch.testing.assert_close(ours, exact, rtol=1e-14, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("prior", FUSED)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_reference(shape, spread, prior, dtype):
    mu, parameter = parameters(shape, dtype)
    compute = torch.float32 if dtype == torch.bfloat16 else dtype
    law = FUSED[prior]
    for seed in (SEEDS[0], SEEDS, SEEDS[:0]):
        options = {"seed": seed, "stream": STREAM, "prior": law}
        ours = ops.sample_gaussian(mu, **{spread: parameter}, **options)
        exact = sample_gaussian(mu.double(), **{spread: parameter.double()}, **options)
        assert ours.weights.dtype == dtype
        assert ours.weights.shape == (*seed.shape, *shape)
        assert ours.log_q.shape == ours.log_prior.shape == seed.shape
        rounding = 4 * torch.finfo(dtype).eps
        torch.testing.assert_close(ours.weights.double(), exact[0], rtol=rounding, atol=rounding)
        assert_sums_agree(ours.log_q, exact[1], mu.numel(), compute, 20.0)
        assert_sums_agree(ours.log_prior, exact[2], mu.numel(), compute, 2000.0)


def test_float32_is_as_exact_as_plain_pytorch():
    """Errors of many single log densities: one element a call would be slow, so each is a sample's."""
    mu, rho = parameters((1,))
    seeds, law = random.sample_seeds(1, 5000, device=mu.device), FUSED["mixture"]
    options = {"seed": seeds, "prior": law}
    exact = sample_gaussian(mu.double(), rho.double(), **options)
    plain, ours = sample_gaussian(mu, rho, **options), ops.sample_gaussian(mu, rho, **options)
    for mine, theirs, true in zip(ours, plain, exact, strict=True):
        error, allowed = ((x.double() - true).square().mean().sqrt() for x in (mine, theirs))
        assert error <= 2 * allowed + torch.finfo(torch.float32).eps * true.abs().mean()


@pytest.mark.parametrize("prior", PLAIN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_other_priors(prior, dtype):
    mu, rho = parameters((400, 3), dtype)
    given = PLAIN[prior]()
    law = priors.as_prior(given)
    for seed in (1, SEEDS):
        ours = ops.sample_gaussian(mu, rho, seed=seed, prior=given)
        without = ops.sample_gaussian(mu, rho, seed=seed)
        assert torch.equal(ours.weights, without.weights)
        assert torch.equal(ours.log_q, without.log_q)
        expected = law.log_prob(ours.weights.double()).sum((-2, -1))
        torch.testing.assert_close(ours.log_prior, expected.double(), rtol=1e-5, atol=1e-3)
        assert not without.log_prior.any()


def test_subclass_of_a_fused_prior_means_what_it_says():
    class Doubled(priors.Gaussian):
        def log_prob(self, w):
            return 2 * super().log_prob(w)

    mu, rho = parameters((50,))
    ours = ops.sample_gaussian(mu, rho, seed=1, prior=Doubled())
    expected = 2 * ops.sample_gaussian(mu, rho, seed=1, prior=priors.Gaussian()).log_prior
    torch.testing.assert_close(ours.log_prior, expected, rtol=1e-6, atol=0)


def test_layout_does_not_matter():
    mu, rho = parameters((4, 5, 6, 7))
    expected = ops.sample_gaussian(mu, rho, seed=2)
    last = ops.sample_gaussian(mu.to(memory_format=torch.channels_last), rho.mT.contiguous().mT, seed=2)
    assert last.weights.is_contiguous()
    for ours, plain in zip(last, expected, strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize("shape", [(), (1,), (5, 1), (1, 7), (5, 7)], ids=str)
def test_log_alpha_broadcasts(shape):
    mu, _ = parameters((5, 7), torch.float64)
    log_alpha = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    ours = ops.sample_gaussian(mu, log_alpha=log_alpha, seed=2)
    full = log_alpha.detach().expand(5, 7).contiguous().requires_grad_()
    expected = ops.sample_gaussian(mu, log_alpha=full, seed=2)
    assert torch.equal(ours.weights, expected.weights)
    gradient, whole = (
        torch.autograd.grad(s.weights.sum() + s.log_q, a)[0] for s, a in [(ours, log_alpha), (expected, full)]
    )
    torch.testing.assert_close(gradient, whole.sum_to_size(shape))


# --- extremes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_extreme_rho(dtype):
    """The peers' log1p(exp(rho)) overflows, and the logarithm of a sigma that vanished is not finite."""
    rho = torch.linspace(-100, 200, 3001, dtype=dtype, requires_grad=True)
    mu = torch.zeros_like(rho)
    ours = ops.sample_gaussian(mu, rho, seed=4, prior=priors.ScaleMixture(0.5, 1.0, 0.0025))
    exact = rho.detach().double().requires_grad_()
    sigma = torch.nn.functional.softplus(exact)
    eps = random.normal(4, rho.shape, device=rho.device).double()
    torch.testing.assert_close(ours.weights.double(), sigma * eps, rtol=1e-5, atol=1e-38)
    log_q = (-0.5 * eps.square() - sigma.log()).sum() - 3001 * 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(ours.log_q, log_q, rtol=1e-7, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(ours.log_q, rho, retain_graph=True)[0].double(), torch.autograd.grad(log_q, exact)[0],
        rtol=1e-5, atol=1e-12,
    )  # fmt: skip
    for output in ours:
        assert torch.autograd.grad(output.sum(), rho, retain_graph=True)[0].isfinite().all()


def test_sigma_that_vanishes_leaves_the_mean():
    mu = torch.randn(100)
    for rho in (-200.0, -math.inf):
        assert torch.equal(ops.sample_gaussian(mu, torch.full((100,), rho), seed=1).weights, mu)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [1.0, 30.0, 1e4, 1e12])
def test_tails_of_the_mixture(size, dtype):
    """In probability space both components underflow, and log 0 is what is left (BLiTZ, Bayes by Backprop)."""
    mu = torch.tensor([size, -size], dtype=dtype, requires_grad=True)
    rho = torch.full((2,), -20.0, dtype=dtype)
    law = priors.ScaleMixture(0.25, 1.0, 0.0025)
    ours = ops.sample_gaussian(mu, rho, seed=1, prior=law)
    expected = 2 * (stats.norm.logpdf(size) + math.log(0.25))
    assert ours.log_prior.item() == pytest.approx(expected, rel=1e-6)
    (gradient,) = torch.autograd.grad(ours.log_prior, mu)
    torch.testing.assert_close(gradient, -mu.detach(), rtol=1e-5, atol=0)


def test_mean_of_zero_under_alpha():
    mu = torch.tensor([0.0, -0.0, 1e-40, 0.5], requires_grad=True)
    log_alpha = torch.zeros(4, requires_grad=True)
    sample = ops.sample_gaussian(mu, log_alpha=log_alpha, seed=1)
    assert torch.equal(sample.weights[:2], mu[:2])
    assert sample.log_q.item() == math.inf  # all of the density in one point
    for gradient in torch.autograd.grad(sample.weights.sum() + sample.log_q, (mu, log_alpha)):
        assert gradient.isfinite().all()


def test_nan_is_not_hidden():
    for mu, rho in ((math.nan, 0.0), (0.0, math.nan), (0.0, -math.nan)):
        sample = ops.sample_gaussian(torch.tensor([mu]), torch.tensor([rho]), seed=1, prior=FUSED["mixture"])
        assert sample.weights.isnan().all()
        assert sample.log_prior.isnan()
        assert sample.log_q.isnan() == math.isnan(rho)


# --- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [*FUSED, "moped", "log uniform"])
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("which", [0, ...], ids=["one seed", "seeds"])
def test_gradcheck(which, spread, prior):
    mu, parameter = parameters((4, 3), torch.float64)
    law = PLAIN[prior]() if prior in PLAIN else FUSED[prior]

    def function(mu, parameter):
        return ops.sample_gaussian(mu, **{spread: parameter}, seed=SEEDS[which], prior=law)

    inputs = mu.requires_grad_(), parameter.requires_grad_()
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_third_derivative():
    mu, rho = (t.requires_grad_() for t in parameters((3,), torch.float64))

    def second(mu, rho):
        sample = ops.sample_gaussian(mu, rho, seed=1, prior=FUSED["mixture"])
        first = torch.autograd.grad(sample.log_q - sample.log_prior, (mu, rho), create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), (mu, rho), create_graph=True)

    assert torch.autograd.gradcheck(second, (mu, rho))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("prior", FUSED)
@pytest.mark.parametrize("spread", SPREADS)
def test_gradients_match_reference(spread, prior, dtype, assert_as_exact_as_torch):
    tensors = parameters((3000,), dtype)
    cotangents = [torch.randn(3, 3000).double(), torch.randn(3).double(), torch.randn(3).double()]

    def gradients(operator, as_dtype):
        mu, parameter = (t.to(as_dtype).requires_grad_() for t in tensors)
        outputs = operator(mu, **{spread: parameter}, seed=SEEDS, prior=FUSED[prior])
        pairs = [(o, c.to(o.dtype)) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
        return torch.autograd.grad([o for o, _ in pairs], (mu, parameter), [c for _, c in pairs])

    exact = gradients(sample_gaussian, torch.float64)
    for ours, plain, true in zip(
        gradients(ops.sample_gaussian, dtype), gradients(sample_gaussian, dtype), exact, strict=True
    ):
        if dtype == torch.bfloat16:  # computed in float32: only the cotangent of the weights and the result are rounded
            plain = plain.to(dtype)
        assert_as_exact_as_torch(ours, plain, true)


@pytest.mark.parametrize("spread", SPREADS)
def test_gradient_over_samples_is_the_sum_of_single_ones(spread):
    """A shared eps buffer that a second sample refills before the backward pass gives wrong rho gradients (peers)."""
    mu, parameter = (t.requires_grad_() for t in parameters((50, 31), torch.float64))

    def loss(seed):
        sample = ops.sample_gaussian(mu, **{spread: parameter}, seed=seed, prior=FUSED["mixture"])
        flat = sample.weights.reshape(*seed.shape, -1)
        return (sample.log_q - sample.log_prior + flat.sin().sum(-1)).mean()

    together = torch.autograd.grad(loss(SEEDS), (mu, parameter))
    losses = [loss(seed) for seed in SEEDS]  # all forward passes before the first backward pass
    singles = [torch.autograd.grad(one, (mu, parameter)) for one in losses]
    for whole, *parts in zip(together, *singles, strict=True):
        torch.testing.assert_close(whole, sum(parts) / len(SEEDS))


def test_only_some_outputs_are_differentiated():
    mu, rho = (t.requires_grad_() for t in parameters((20,), torch.float64))
    sample = ops.sample_gaussian(mu, rho, seed=1, prior=FUSED["laplace"])
    parts = [
        torch.autograd.grad(output.sum(), (mu, rho), retain_graph=True, allow_unused=True, materialize_grads=True)
        for output in sample
    ]
    whole = torch.autograd.grad(sum(output.sum() for output in sample), (mu, rho))
    for i in range(2):
        torch.testing.assert_close(sum(part[i] for part in parts), whole[i])
    assert not parts[1][0].any()  # log q does not depend on mu


def test_nothing_but_the_arguments_is_saved():
    mu, rho = (t.requires_grad_() for t in parameters((100,)))
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.data_ptr()) or t, lambda t: t):
        ops.sample_gaussian(mu, rho, seed=SEEDS, prior=FUSED["mixture"])
    assert set(saved) <= {mu.data_ptr(), rho.data_ptr(), SEEDS.data_ptr()}


# --- transforms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, ...], ids=["one seed", "seeds"])
@pytest.mark.parametrize("spread", SPREADS)
def test_opcheck(spread, which):
    seed = SEEDS[which]
    mu, parameter = (t.requires_grad_() for t in parameters((4, 5)))
    options = (mu, parameter, seed, 3, spread == "log_alpha", 3, [0.25, 1.0, 0.05])
    torch.library.opcheck(torch.ops.bayesops.sample_gaussian.default, options)
    cotangents = torch.randn(*seed.shape, 4, 5), *(torch.randn(seed.shape, dtype=torch.float64) for _ in range(2))
    for given in (cotangents, (None, *cotangents[1:]), (cotangents[0], None, None)):
        torch.library.opcheck(torch.ops.bayesops.sample_gaussian_grad.default, (*given, *options))


@pytest.mark.parametrize("in_dims", [(None, None, 0), (0, None, 0), (None, 1, None), (1, 0, 0)], ids=str)
def test_vmap(in_dims):
    mu, rho = parameters((4, 5))
    arguments = [
        tensor if dim is None else torch.stack([tensor + i for i in range(3)], dim)
        for tensor, dim in zip((mu, rho), in_dims, strict=False)
    ]
    arguments.append(SEEDS if in_dims[2] == 0 else SEEDS[0])

    def function(mu, rho, seed):
        return tuple(ops.sample_gaussian(mu, rho, seed=seed, prior=FUSED["mixture"]))

    mapped = torch.vmap(function, in_dims)(*arguments)
    single = [
        function(*(a if dim is None else a.select(dim, i) for a, dim in zip(arguments, in_dims, strict=True)))
        for i in range(3)
    ]
    for ours, parts in zip(mapped, zip(*single, strict=True), strict=True):
        assert torch.equal(ours, torch.stack(parts))

    def loss(mu, rho, seed):
        weights, log_q, log_prior = function(mu, rho, seed)
        return weights.square().sum() + log_q - log_prior

    gradients = torch.vmap(torch.func.grad(loss, (0, 1)), in_dims)(*arguments)
    for i in range(3):
        one = [a if dim is None else a.select(dim, i) for a, dim in zip(arguments, in_dims, strict=True)]
        for ours, expected in zip(gradients, torch.func.grad(loss, (0, 1))(*one), strict=True):
            torch.testing.assert_close(ours[i], expected)


def test_vmap_over_seeds_twice():
    mu, rho = parameters((4, 5))
    grid = torch.arange(6).reshape(2, 3)
    mapped = torch.vmap(torch.vmap(lambda seed: ops.sample_gaussian(mu, rho, seed=seed).weights))(grid)
    assert torch.equal(mapped.flatten(0, 1), ops.sample_gaussian(mu, rho, seed=grid.flatten()).weights)


def test_functional_hessian():
    mu, rho = parameters((3,), torch.float64)

    def loss(mu):
        sample = ops.sample_gaussian(mu, rho, seed=1, prior=priors.Gaussian(0.0, 0.5))
        return -sample.log_prior

    hessian = torch.func.jacrev(torch.func.jacrev(loss))(mu)
    torch.testing.assert_close(hessian, 4 * torch.eye(3, dtype=torch.float64))
    with pytest.raises(NotImplementedError, match="forward-mode derivatives"):
        torch.func.hessian(loss)(mu)


def test_compile():
    mu, rho = (t.requires_grad_() for t in parameters((20, 3)))

    def loss(mu, rho, seed):
        sample = ops.sample_gaussian(mu, rho, seed=seed, prior=FUSED["mixture"])
        return (sample.weights.sin().sum() + sample.log_q - sample.log_prior).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    ours, expected = compiled(mu, rho, SEEDS), loss(mu, rho, SEEDS)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(*(torch.autograd.grad(x, (mu, rho)) for x in (ours, expected)), strict=True):
        torch.testing.assert_close(a, b)


def test_autocast_computes_in_float32(device):
    mu, rho = parameters((20, 3))
    expected = ops.sample_gaussian(mu.bfloat16().float(), rho, seed=1, prior=FUSED["mixture"])
    with torch.autocast(device, torch.bfloat16):
        ours = ops.sample_gaussian(mu.bfloat16(), rho, seed=1, prior=FUSED["mixture"])
    for a, b in zip(ours, expected, strict=True):
        assert torch.equal(a, b)


# --- statistics -------------------------------------------------------------------------------------------------------


def z_bound(comparisons):
    return stats.norm.isf(FALSE_ALARM / 2 / comparisons)


@pytest.mark.cpu_only
@pytest.mark.parametrize("spread", SPREADS)
def test_moments_of_the_weights(spread):
    samples, count = 4000, 200
    mu, parameter = parameters((count,), high=1.0)
    weights = ops.sample_gaussian(mu, **{spread: parameter}, seed=random.sample_seeds(5, samples)).weights.double()
    sigma = torch.nn.functional.softplus(parameter) if spread == "rho" else (parameter / 2).exp() * mu.abs()
    z = (weights - mu) / sigma.double()
    bound = z_bound(2 * count)
    assert (z.mean(0).abs() * math.sqrt(samples)).max() < bound
    low, high = (stats.chi2.ppf(q, samples) for q in (FALSE_ALARM / 4 / count, 1 - FALSE_ALARM / 4 / count))
    assert ((z.square().sum(0) > low) & (z.square().sum(0) < high)).all()


@pytest.mark.cpu_only
def test_mean_of_log_q_is_the_negative_entropy():
    """Log q is minus half a χ² of as many degrees as there are weights, plus what does not vary."""
    samples, count = 4000, 300
    mu, rho = parameters((count,))
    log_q = ops.sample_gaussian(mu, rho, seed=random.sample_seeds(6, samples)).log_q
    entropy = distributions.Normal(mu.double(), torch.nn.functional.softplus(rho.double())).entropy().sum()
    assert abs((log_q.mean() + entropy).item()) < z_bound(1) * math.sqrt(count / 2 / samples)
    law = stats.chi2(count)
    fixed = (-entropy + count / 2).item()
    assert stats.kstest(2 * (fixed - log_q.numpy()), law.cdf).pvalue > FALSE_ALARM


@pytest.mark.cpu_only
@pytest.mark.parametrize("prior", ["gaussian", "laplace"])
def test_mean_difference_is_the_closed_divergence(prior):
    samples, count = 4000, 300
    mu, rho = parameters((count,), high=0.0)
    law = FUSED[prior]
    sample = ops.sample_gaussian(mu, rho, seed=random.sample_seeds(7, samples), prior=law)
    difference = sample.log_q - sample.log_prior
    exact = law.kl(mu, torch.nn.functional.softplus(rho)).sum()
    deviation = difference.std() / math.sqrt(samples)  # of 300 weights and 4000 samples: normal enough at 5 sigma
    assert abs((difference.mean() - exact).item()) < z_bound(1) * deviation.item()
    assert deviation < 0.01 * exact


@pytest.mark.cpu_only
def test_samples_and_streams_are_independent():
    mu, rho = torch.zeros(20_000), torch.zeros(20_000)
    draws = [ops.sample_gaussian(mu, rho, seed=s, stream=t).weights.numpy() for s in (1, 2, 3) for t in (0, 1, 2)]
    correlations = np.corrcoef(draws)[np.triu_indices(9, 1)]
    assert np.abs(correlations).max() < z_bound(36) / math.sqrt(20_000)


# --- errors -----------------------------------------------------------------------------------------------------------

MU = torch.zeros(2, 3)
BAD = {
    "neither": ({"rho": None}, TypeError, "'rho' must be given, or else 'log_alpha', got neither"),
    "both": ({"log_alpha": MU}, TypeError, "'rho' must be given, or else 'log_alpha', got both"),
    "rho shape": ({"rho": MU[0]}, ValueError, r"'rho' must be of mu's shape \(2, 3\), got shape \(3,\)"),
    "alpha shape": (
        {"rho": None, "log_alpha": torch.zeros(2)}, ValueError,
        r"'log_alpha' must be of a shape that broadcasts to \(2, 3\), got shape \(2,\)",
    ),
    "dtype": ({"mu": MU.int()}, TypeError, "'mu' must be float32"),
    "rho dtype": ({"rho": MU.double()}, TypeError, "'rho' must be of the input's dtype"),
    "seed": ({"seed": None}, TypeError, "'seed' must be an int or an int64 tensor"),
    "seed dims": ({"seed": torch.zeros(1, 1).long()}, ValueError, r"'seed' must be an int or a tensor of shape \[\]"),
    "stream": ({"stream": -1}, ValueError, "'stream' must be in"),
    "prior shape": (
        {"prior": priors.Laplace(torch.zeros(4, 1, 1), 1.0)},
        ValueError,
        r"'prior' must be one whose log_prob has the weights' shape .*got shape \(4, 2, 3\)",
    ),
    "prior": ({"prior": 1.0}, TypeError, "'prior' must be a bayesops.priors.Prior.*got float"),
}  # fmt: skip


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", BAD, ids=str)
def test_errors(case):
    bad, error, message = BAD[case]
    with pytest.raises(error, match=f"^sample_gaussian: argument {message}"):
        ops.sample_gaussian(**{"mu": MU, "rho": MU, "seed": 1, **bad})


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((MU, MU[0], SEEDS, 0, False, 0, []), r"rho must have mu's shape \[2, 3\], not \[3\]"),
        ((MU, MU[0], SEEDS, 0, True, 0, []), r"log_alpha must have mu's shape"),
        ((MU, MU.double(), SEEDS, 0, False, 0, []), "rho must have the dtype"),
        ((MU, MU, SEEDS, 2**32, False, 0, []), "stream must be in"),
        ((MU, MU, SEEDS, 0, False, 4, []), "prior must be 0"),
        ((MU, MU, SEEDS, 0, False, 3, [0.5]), "prior 3 has 3 parameters, not 1"),
        ((MU, MU, SEEDS, 0, False, 1, [0.0, 0.0]), "a scale of the prior must be greater than 0, not 0"),
        ((MU, MU, SEEDS, 0, False, 2, [0.0, -1.0]), "a scale of the prior must be greater than 0, not -1"),
        ((MU, MU, SEEDS, 0, False, 3, [1.5, 1.0, 1.0]), r"pi of the prior must be in \[0, 1\], not 1.5"),
        ((MU.half(), MU.half(), SEEDS, 0, False, 0, []), "float16, which runs on CUDA only"),
    ],
)
def test_errors_of_the_compiled_operator(arguments, message):
    with pytest.raises(RuntimeError, match=f"sample_gaussian: .*{message}"):
        torch.ops.bayesops.sample_gaussian(*arguments)


@pytest.mark.cpu_only
def test_errors_of_the_gradient():
    options = (MU, MU, SEEDS, 0, False, 0, [])
    with pytest.raises(
        RuntimeError, match=r"sample_gaussian_grad: grad_weights must have shape \[3, 2, 3\], not \[2, 3\]"
    ):
        torch.ops.bayesops.sample_gaussian_grad(MU, None, None, *options)
    with pytest.raises(RuntimeError, match="grad_log_q must have the dtype of the sums, float64"):
        torch.ops.bayesops.sample_gaussian_grad(None, torch.zeros(3), None, *options)
