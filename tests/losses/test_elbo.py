"""The ELBO: its scaling, and its samples as one call."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import bayesops as bo

ESTIMATORS = ["local_reparam", "weight_sample", "flipout"]
MIXTURE = bo.priors.ScaleMixture(0.25, 1.0, 0.1)
X, Y = torch.randn(5, 1, 6, 6), torch.tensor([0, 1, 2, 0, 1])


def network(**options):
    options = {"rho_init": -2.0, **options}
    return nn.Sequential(
        bo.nn.GaussianConv2d(1, 4, 3, **options), nn.ReLU(), nn.Flatten(), bo.nn.GaussianLinear(64, 3, **options)
    )


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("kl_weight", [1.0, 0.25])
def test_scaling(kl_weight):
    """Mean over the batch, plus the weighted divergence over the size of the training set."""
    model = network()
    seeds = bo.random.sample_seeds(4, 1)
    terms = bo.losses.ELBO(model, 1000, kl_weight).terms(X, Y, seed=4)
    with bo.sampling(seed=seeds[0]):
        nll = functional.cross_entropy(model(X), Y)
    kl = bo.kl_divergence(model)
    torch.testing.assert_close(terms.nll, nll)
    torch.testing.assert_close(terms.kl, kl)
    torch.testing.assert_close(terms.loss, nll + kl_weight * kl.float() / 1000)
    assert terms.loss.dtype == torch.float32
    assert terms.kl.dtype == torch.float64


def test_minibatches_of_an_epoch_add_up_to_the_whole_bound():
    """Blundell's weights (eq. 9) at the call: the sum of B times the losses is the bound on all data."""
    model = bo.nn.use_mean(network())
    elbo = bo.losses.ELBO(model, 20)
    inputs, targets = torch.randn(20, 1, 6, 6), torch.randint(3, (20,))
    whole = 20 * elbo(inputs, targets)
    for weights in ([2.0 ** (4 - i) / (2**4 - 1) for i in range(1, 5)], [0.25] * 4):
        parts = [
            5 * elbo(inputs[5 * i : 5 * i + 5], targets[5 * i : 5 * i + 5], kl_weight=4 * weight)
            for i, weight in enumerate(weights)
        ]
        torch.testing.assert_close(sum(parts), whole)


@pytest.mark.parametrize("prior", [None, MIXTURE], ids=["closed", "monte carlo"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_trap_1_samples_in_one_call_have_the_mean_of_their_gradients(estimator, prior):
    model = network(estimator=estimator, prior=prior)
    seeds = bo.random.sample_seeds(7, 4)
    together = bo.losses.ELBO(model, 50, num_samples=4)
    alone = bo.losses.ELBO(model, 50)
    singles = [alone(X, Y, seed=seed) for seed in seeds[:, None]]
    expected = gradients(model, torch.stack(singles).mean())
    loss = together(X, Y, seed=seeds)
    torch.testing.assert_close(loss, torch.stack(singles).mean())
    for got, wanted in zip(gradients(model, loss), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)
    # the same from one seed, and one after another
    torch.testing.assert_close(together(X, Y, seed=7), loss)
    torch.testing.assert_close(bo.losses.ELBO(model, 50, num_samples=4, batched=False)(X, Y, seed=7), loss)


def test_monte_carlo_kl_is_at_the_draws_of_the_forward_pass():
    model = network(estimator="weight_sample", prior=MIXTURE)
    seeds = bo.random.sample_seeds(7, 3)
    kl = []
    for seed in seeds:
        with bo.sampling(seed=seed):
            model(X)
            kl.append(bo.kl_divergence(model))
    terms = bo.losses.ELBO(model, 50, num_samples=3).terms(X, Y, seed=seeds)
    torch.testing.assert_close(terms.kl, torch.stack(kl).mean())
    assert len({value.item() for value in kl}) == 3


def test_closed_and_sampled_divergence_in_one_model():
    model = network()
    model[3].prior = MIXTURE
    terms = bo.losses.ELBO(model, 50, num_samples=2).terms(X, Y, seed=7)
    kl = []
    for seed in bo.random.sample_seeds(7, 2):
        with bo.sampling(seed=seed):
            model(X)
            kl.append(bo.kl_divergence(model))
    torch.testing.assert_close(terms.kl, torch.stack(kl).mean())


@pytest.mark.parametrize("num_samples", [1, 3])
def test_fresh_noise_at_each_call(num_samples):
    elbo = bo.losses.ELBO(network(), 50, num_samples=num_samples)
    torch.manual_seed(1)
    first = elbo(X, Y)
    assert elbo(X, Y) != first
    torch.manual_seed(1)
    assert elbo(X, Y) == first
    with bo.sampling(seed=5):
        first = elbo(X, Y)
    with bo.sampling(seed=5):
        assert elbo(X, Y) == first


def test_another_likelihood_and_several_inputs():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = bo.nn.GaussianLinear(4, 2)

        def forward(self, a, b):
            return self.layer(a + b)

    model, a, b, target = Sum(), torch.randn(3, 4), torch.randn(3, 4), torch.randn(3, 2)
    elbo = bo.losses.ELBO(model, 3, num_samples=2, nll=lambda out, y: 3 * functional.mse_loss(out, y))
    seeds = bo.random.sample_seeds(0, 2)
    expected = 0
    for seed in seeds:
        with bo.sampling(seed=seed):
            expected += 1.5 * functional.mse_loss(model(a, b), target)
    torch.testing.assert_close(elbo.terms((a, b), target, seed=seeds).nll, expected)


def test_torchs_dropout_draws_for_each_sample():
    model = nn.Sequential(bo.nn.use_mean(bo.nn.GaussianLinear(4, 8)), nn.Dropout(0.5))
    elbo = bo.losses.ELBO(model, 3, num_samples=6, nll=lambda out, y: out[0, 0])
    values = elbo.terms(torch.ones(2, 4), Y).nll
    expected = model[0](torch.ones(2, 4))[0, 0] * 2
    assert not any(torch.allclose(values, k * expected) for k in (0, 1))  # all six alike: 1 in 32 of the runs


def test_batch_normalisation_is_named_and_has_a_way_out():
    model = nn.Sequential(bo.nn.GaussianLinear(4, 3), nn.BatchNorm1d(3))
    inputs, target = torch.randn(8, 4), torch.randint(3, (8,))
    with pytest.raises(RuntimeError, match=r"ELBO: torch.vmap cannot take this model.* batched=False .*in place"):
        bo.losses.ELBO(model, 8, num_samples=2)(inputs, target)
    assert bo.losses.ELBO(model, 8, num_samples=2, batched=False)(inputs, target).isfinite()
    assert bo.losses.ELBO(model, 8)(inputs, target).isfinite()


def test_an_error_of_the_model_is_the_models():
    with pytest.raises(RuntimeError, match="shape mismatch of mine"):
        bo.losses.ELBO(Broken(), 8, num_samples=2)(torch.randn(2, 4), torch.zeros(2, dtype=torch.long))


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = bo.nn.GaussianLinear(4, 3)

    def forward(self, input):
        raise RuntimeError("shape mismatch of mine")


@pytest.mark.parametrize("prior", [None, MIXTURE], ids=["closed", "monte carlo"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_autocast(estimator, prior):
    """The network in bfloat16; sums, and the divergence of the float32 parameters, as without."""
    model = network(estimator=estimator, prior=prior)
    elbo = bo.losses.ELBO(model, 50, num_samples=2)
    expected = elbo.terms(X, Y, seed=3)
    with torch.autocast("cpu", torch.bfloat16):
        terms = elbo.terms(X, Y, seed=3)
    assert (terms.loss.dtype, terms.kl.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(terms.kl, expected.kl)
    torch.testing.assert_close(terms.nll, expected.nll, rtol=0.02, atol=0.02)
    assert all(g.dtype == torch.float32 and g.isfinite().all() for g in gradients(model, terms.loss))


def test_is_a_module():
    """So that it can be wrapped as a whole (torch.compile, DistributedDataParallel)."""
    model = network()
    elbo = bo.losses.ELBO(model, 50, num_samples=2)
    assert {id(p) for p in elbo.parameters()} == {id(p) for p in model.parameters()}
    assert "num_data=50, kl_weight=1.0, num_samples=2" in repr(elbo)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bo.losses.ELBO(network(), 0), "ELBO: argument 'num_data' must be an int of at least 1, got 0"),
        (lambda: bo.losses.ELBO(network(), 10, num_samples=0), "ELBO: argument 'num_samples' must be an int"),
        (lambda: bo.losses.ELBO(nn.Linear(2, 2), 10), "ELBO: argument 'model' must be one with Gaussian layers"),
        (
            lambda: bo.losses.ELBO(network(), 10, num_samples=2)(X, Y, seed=torch.arange(3)),
            r"ELBO: argument 'seed' must be one draw, or 2 \(num_samples\), got shape \(3,\)",
        ),
        (
            lambda: bo.losses.ELBO(network(), 10, nll=nn.CrossEntropyLoss(reduction="none"))(X, Y),
            r"ELBO: argument 'nll' must be a function that returns a scalar.*got shape \(5,\)",
        ),
    ],
)  # fmt: skip
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_types_are_checked():
    with pytest.raises(TypeError, match=r"ELBO: argument 'model' must be a torch\.nn\.Module, got str"):
        bo.losses.ELBO("model", 10)
    for value in (10.5, True, "all"):
        with pytest.raises(TypeError, match=f"ELBO: argument 'num_data' must be an int of at least 1, got {value!r}"):
            bo.losses.ELBO(network(), value)
    with pytest.raises(TypeError, match="ELBO: argument 'kl_weight' must be a number, got str"):
        bo.losses.ELBO(network(), 10, kl_weight="a")
    with pytest.raises(TypeError, match="ELBO: argument 'kl_weight' must be a number, got str"):
        bo.losses.ELBO(network(), 10)(X, Y, kl_weight="a")


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_of_the_divergence_that_are_none(weight):
    with pytest.raises(ValueError, match=f"ELBO: argument 'kl_weight' must be finite and at least 0, got {weight}"):
        bo.losses.ELBO(network(), 10, weight)
    with pytest.raises(ValueError, match=f"ELBO: argument 'kl_weight' must be finite and at least 0, got {weight}"):
        bo.losses.ELBO(network(), 10)(X, Y, kl_weight=weight)
    with pytest.raises(ValueError, match=r"ELBO: argument 'kl_weight' must be a number, got shape \(2,\)"):
        bo.losses.ELBO(network(), 10)(X, Y, kl_weight=torch.ones(2))


def test_numbers_of_numpy():
    elbo = bo.losses.ELBO(network(), np.int64(10), np.float32(0.5), np.int32(2))
    expected = bo.losses.ELBO(network(), 10, 0.5, 2)
    assert (elbo.num_data, elbo.kl_weight, elbo.num_samples) == (10, 0.5, 2) == (expected.num_data, 0.5, 2)


@pytest.mark.parametrize("num_samples", [1, 2])
def test_inputs_and_targets_of_other_kinds(num_samples):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = bo.nn.GaussianLinear(6, 6)

        def forward(self, batch):
            return self.layer(batch["x"])

    model, x = Model(), torch.randn(5, 6)

    def elbo(nll):
        return bo.losses.ELBO(model, 10, num_samples=num_samples, nll=nll)

    one = elbo(lambda output, t: (output - t).square().mean())
    pair = elbo(lambda output, t: (output - t[0] + t[1]).square().mean())
    none = elbo(lambda output, _: (output - x).square().mean())
    expected = one({"x": x}, x, seed=1)
    torch.testing.assert_close(pair({"x": x}, (x + 1, torch.ones(())), seed=1), expected)
    torch.testing.assert_close(none({"x": x}, None, seed=1), expected)


def test_checkpoints_within_one_call_of_all_samples_are_refused():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = bo.nn.GaussianLinear(6, 8), bo.nn.GaussianLinear(8, 3)

        def forward(self, x):
            hidden = checkpoint(self.first, x, use_reentrant=False, context_fn=bo.checkpoint_contexts)
            return self.second(hidden)

    model, x, y = Model(), torch.randn(5, 6), torch.tensor([0, 1, 2, 0, 1])
    with pytest.raises(RuntimeError, match=r"batched=False .*torch checkpoints no activations within torch\.vmap"):
        bo.losses.ELBO(model, 10, num_samples=2)(x, y)
    bo.losses.ELBO(model, 10, num_samples=2, batched=False)(x, y).backward()
