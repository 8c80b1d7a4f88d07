"""Noise on logits: whose it is, and that prediction averages over it and the weights alike."""

import pytest
import torch
from torch import nn

import bayesops as bo

LOGITS, LOG_VAR = torch.randn(3, 4, 5, 6), torch.randn(3, 4, 5, 6)


@pytest.mark.parametrize("shared", [False, True], ids=["per class", "shared"])
def test_is_the_noise_of_the_loss(shared):
    log_var = LOG_VAR[:, :1] if shared else LOG_VAR
    target = torch.randint(4, (3, 5, 6))
    with bo.sampling(seed=3):
        noisy = bo.nn.LogitNoise(stream=2)((LOGITS, log_var))
    loss = bo.ops.logit_noise_cross_entropy(
        LOGITS, log_var, target, num_samples=1, seed=torch.tensor([3]), stream=2, reduction="none"
    )
    torch.testing.assert_close(nn.functional.cross_entropy(noisy, target, reduction="none"), loss)


def test_mean_and_frozen_noise():
    layer = bo.nn.LogitNoise()
    assert torch.equal(layer.use_mean()((LOGITS, LOG_VAR)), LOGITS)
    layer.use_mean(False).freeze_noise(7)
    assert torch.equal(layer((LOGITS, LOG_VAR)), layer((LOGITS, LOG_VAR)))
    assert not torch.equal(layer.freeze_noise(None)((LOGITS, LOG_VAR)), layer((LOGITS, LOG_VAR)))
    assert repr(bo.nn.LogitNoise(stream=4)) == "LogitNoise(stream=4)"


class Network(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x).chunk(2, 1)


@pytest.mark.parametrize("bayesian", [False, True], ids=["plain", "bayes"])
def test_every_path_of_prediction_makes_the_same_draws(bayesian):
    x = torch.randn(5, 8)
    layer = bo.nn.GaussianLinear(8, 6, rho_init=-1.0) if bayesian else nn.Linear(8, 6)
    model = nn.Sequential(Network(layer), bo.nn.LogitNoise())
    options = {"num_samples": 12, "seed": 4, "return_samples": True, "chunk_size": 5}
    plan, *others = (bo.predict(model, x, path=path, **options) for path in ("plan", "vmap", "loop"))
    assert plan.variance.min() > 0
    for other in others:
        torch.testing.assert_close(other.samples, plan.samples)
        torch.testing.assert_close(other.mean, plan.mean)


def test_prediction_is_the_likelihood_that_was_trained():
    """The mean over draws of the noise is the exponential of minus the loss, to 6 standard errors."""
    x, target, draws = torch.randn(5, 8), torch.tensor([0, 1, 2, 0, 1]), 20_000
    network = Network(nn.Linear(8, 6))
    prediction = bo.predict(nn.Sequential(network, bo.nn.LogitNoise()), x, draws)
    with torch.no_grad():
        loss = bo.ops.logit_noise_cross_entropy(*network(x), target, num_samples=draws, seed=99, reduction="none")
    rows = torch.arange(5)
    error = 6 * 2**0.5 * prediction.standard_error[rows, target]
    assert ((torch.exp(-loss) - prediction.mean[rows, target]).abs() < error).all()


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        (LOGITS, TypeError, "'output' must be a pair, logits and log variances, got Tensor"),
        ((LOGITS[0, 0, 0], LOGITS), ValueError, r"'output' must be of logits \[N, C, \*\], got shape \(6,\)"),
        ((LOGITS, LOG_VAR[:, :2]), ValueError, r"must be of log variances \(3, 4, 5, 6\) or \(3, 1, 5, 6\), got shape"),
    ],
    ids=["tensor", "dimensions", "shape"],
)
def test_errors(output, error, message):
    with pytest.raises(error, match=f"^LogitNoise: argument .*{message}"):
        bo.nn.LogitNoise()(output)
