"""Scores of a pool: against the draws themselves, however the pool comes, and the choice of the best."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import bayesops as bo
from bayesops import acquisition
from bayesops.acquisition import bald, entropy, random, top_k, variation_ratio

SCORES = [bald, entropy, variation_ratio]
ALL = pytest.mark.parametrize("score", SCORES, ids=lambda score: score.__name__)


def from_samples(score, samples):
    """By definition, from draws of probabilities ``[T, N, C, *]``."""
    mean = samples.mean(0)
    total = -(mean * mean.log()).sum(1)
    if score is entropy:
        return total
    if score is bald:
        return total + (samples * samples.log()).sum(2).mean(0)
    votes = torch.stack([(samples.argmax(2) == c).double().mean(0) for c in range(samples.shape[2])])
    return 1 - votes.amax(0)


@ALL
def test_against_the_draws(score, model, pool):
    samples = bo.predict(model, pool, num_samples=30, seed=5, return_samples=True).samples.double()
    scores = score(model, pool, num_samples=30, seed=5)
    torch.testing.assert_close(scores.double(), from_samples(score, samples), rtol=1e-4, atol=1e-6)
    assert scores.shape == (40,)
    assert len(scores.unique()) > 10


@ALL
def test_however_the_pool_comes(score, model, pool):
    """Each batch meets the same draws of the weights."""
    whole = score(model, pool, seed=1)
    labelled = TensorDataset(pool, torch.zeros(40))
    pools = [
        pool.split(7), list(pool.split(13)), DataLoader(labelled, batch_size=9), iter(pool.split(1)),
        (pool,), [(part, None) for part in pool.split(20)], [((part,), None) for part in pool.split(20)],
    ]  # fmt: skip
    for parts in pools[1:]:
        torch.testing.assert_close(score(model, parts, seed=1), whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(score(model, pool, seed=1, batch_size=3), whole, rtol=1e-5, atol=1e-6)
    assert not torch.equal(score(model, pool, seed=2), whole)


@ALL
def test_a_tensor_is_cut_into_batches(score, model, pool):
    seen = []
    handle = model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    score(model, pool, 2, batch_size=16, path="loop")
    handle.remove()
    assert seen == [16, 16, 16, 16, 8, 8]


@ALL
def test_pixels_are_averaged_over_the_image(score):
    model = bo.nn.BernoulliConv2d(1, 3, 3, p=0.5)
    images = 4 * torch.randn(5, 1, 6, 7)
    samples = bo.predict(model, images, num_samples=20, return_samples=True).samples.double()
    expected = from_samples(score, samples).mean((1, 2))
    torch.testing.assert_close(score(model, images, 20, batch_size=2).double(), expected, rtol=1e-4, atol=1e-6)


def test_variation_ratio_is_the_one_of_the_metrics(model, pool):
    samples = bo.predict(model, pool, num_samples=30, return_samples=True).samples
    torch.testing.assert_close(variation_ratio(model, pool, 30), bo.metrics.variation_ratio(samples))


def test_labels_of_yes_and_no(model, pool):
    """One output for two classes scores as the two classes do; several outputs are labels, each by itself."""

    class TwoClasses(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = bo.nn.BernoulliLinear(5, 1, p=0.5)

        def forward(self, x):
            return functional.pad(self.layer(x), (0, 1))

    two, near = TwoClasses(), pool / 5  # near 0 no sigmoid is 1
    for score in (bald, entropy):
        torch.testing.assert_close(
            score(two.layer, pool, 20, link="sigmoid"), score(two, pool, 20), rtol=1e-4, atol=1e-6
        )
        samples = bo.predict(model, near, 20, link="sigmoid", return_samples=True).samples.double()
        expected = from_samples(score, torch.stack([samples, 1 - samples], 2)).mean(1)
        torch.testing.assert_close(score(model, near, 20, link="sigmoid").double(), expected, rtol=1e-4, atol=1e-6)


def test_equal_shares_of_votes_are_equal_whatever_their_order(model, pool):
    votes = [variation_ratio(model, pool, 30, chunk_size=size) for size in (1, 7, 30)]
    assert torch.equal(votes[0], votes[1])
    assert torch.equal(votes[0], votes[2])
    assert len(votes[0].unique()) <= 21


@ALL
def test_options_of_predict(score, pool):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = bo.nn.BernoulliLinear(5, 3, p=0.5)

        def forward(self, x):
            return {"features": x, "logits": self.layer(x)}

    model = Two()
    scores = score(model, pool, output="logits")
    assert torch.equal(scores, score(model, pool, output=lambda outputs: outputs["logits"]))
    torch.testing.assert_close(scores, score(model, pool, output="logits", path="loop", chunk_size=3))
    assert score(model, pool, "auto", output="logits", tolerance=0.1, max_samples=24).shape == (40,)


@pytest.mark.filterwarnings("ignore:predict. nothing in the model draws")
def test_what_is_known_for_sure_scores_nothing(pool):
    """Draws that agree leave nothing to learn, though the label may be open; a sure answer leaves nothing at all."""
    model = nn.Linear(5, 3)
    assert bald(model, pool).max() < 1e-5
    assert entropy(model, pool).min() > 0
    assert (variation_ratio(model, pool) == 0).all()
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([1000.0, 0.0, 0.0]))
    assert (entropy(model, pool) == 0).all()


def test_random_scores_are_a_function_of_the_seed():
    scores = random(2000, seed=3)
    assert torch.equal(scores, random(2000, seed=torch.tensor(3)))
    assert not torch.equal(scores, random(2000, seed=4))
    assert scores.min() >= 0
    assert scores.max() < 1
    # Kolmogorov and Smirnov: above 0.05 for uniform numbers with probability 9e-5.
    assert (scores.sort().values - torch.linspace(0, 1, 2000)).abs().max() < 0.05


def test_top_k_is_best_first_and_of_equals_the_first():
    scores = torch.tensor([0.5, 2.0, 0.5, -1.0, 2.0, 0.5])
    assert top_k(scores, 4).tolist() == [1, 4, 0, 2]
    assert top_k(scores, 6).tolist() == [1, 4, 0, 2, 5, 3]
    assert top_k(torch.zeros(1000), 5).tolist() == [0, 1, 2, 3, 4]
    assert top_k(torch.tensor([-torch.inf, torch.inf, 0.0]), 2).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda m, x: bald(m, x, shard="samples"), "bald: argument 'shard' is none of its options.*chunk_"),
        (ValueError, lambda m, x: bald(m, x, link="identity"), "bald: argument 'link' must be one of 'softmax', 'sig"),
        (ValueError, lambda m, x: bald(lambda x: x[:, :1], x), "'link' must be 'sigmoid' .* single class"),
        (TypeError, lambda m, x: variation_ratio(m, x, quantiles=(0.5,)), "variation_ratio: argument 'quantiles'"),
        (TypeError, lambda m, x: entropy(m, 3), "entropy: argument 'pool' must be a tensor, .*got int"),
        (ValueError, lambda m, x: entropy(m, []), "entropy: argument 'pool' must be of at least one batch, got none"),
        (ValueError, lambda m, x: bald(m, x[:0]), r"'pool' must be of at least one point, got shape \(0, 5\)"),
        (ValueError, lambda m, x: bald(m, x, batch_size=0), "bald: argument 'batch_size' must be .*got 0"),
        (ValueError, lambda m, x: bald(m, x, 0), "argument 'num_samples' must be"),
        (ValueError, lambda m, x: variation_ratio(lambda x: x[:, 0], x), "variation_ratio: .*'model'.*1 dim"),
        (ValueError, lambda m, x: bald(lambda x: x[:, 0], x), r"bald: .*'model'.*\[N, C, \*\], got shape \(40,\)"),
        (ValueError, lambda m, x: entropy(lambda x: x[:, 0], x), r"entropy: .*'model'.*, got shape \(40,\)"),
        (TypeError, lambda m, x: acquisition.random(2.5), "random: .*'num_points' must be .* at least 0, got 2.5"),
        (ValueError, lambda m, x: acquisition.random(-1), "random: .*'num_points' must be .* at least 0, got -1"),
        (TypeError, lambda m, x: top_k([1.0], 1), "top_k: argument 'scores' must be a tensor, got list"),
        (ValueError, lambda m, x: top_k(x, 1), r"top_k: argument 'scores' must be of shape \[N\], got .*\(40, 5\)"),
        (ValueError, lambda m, x: top_k(x[:, 0], 41), "top_k: .*'k' must be no more than .* scores, 40, got 41"),
        (ValueError, lambda m, x: top_k(x[:, 0], 0), "top_k: argument 'k' must be an int of at least 1, got 0"),
        (ValueError, lambda m, x: top_k(torch.tensor([1.0, torch.nan]), 1), "without NaN, got 1 of them"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:predict. the model returns as many numbers")
def test_errors(error, call, message, model, pool):
    with pytest.raises(error, match=message):
        call(model, pool)


def test_the_names_are_all_there():
    assert bo.acquisition is acquisition
    assert all(hasattr(acquisition, name) for name in acquisition.__all__)
