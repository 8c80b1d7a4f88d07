"""Scores against scikit-learn, torch and scipy."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from torch.nn import functional

from bayesops import metrics

SIZES = [(), (3,), (4, 5)]


def rows(probabilities, target):
    """Make it ``[M, C]`` and ``[M]``, as scikit-learn takes it, without what is ignored."""
    probabilities = probabilities.movedim(1, -1)[target >= 0].double().numpy()
    return probabilities, target[target >= 0].numpy()


class TestAgainstScikitLearn:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("ignored", [0.0, 0.3])
    def test_streaming_and_at_once(self, classified, size, ignored):
        probabilities, target = classified(size=size, ignored=ignored, dtype=torch.float64)
        flat, labels = rows(probabilities, target)
        nll = log_loss(labels, flat, labels=range(4))
        brier = brier_score_loss(np.eye(4)[labels], flat, scale_by_half=False)
        assert metrics.negative_log_likelihood(probabilities, target).item() == pytest.approx(nll, rel=1e-12)
        assert metrics.brier_score(probabilities, target).item() == pytest.approx(brier, rel=1e-12)
        streamed = metrics.ClassificationScores()
        for p, t in zip(probabilities.split(64), target.split(64), strict=True):
            streamed.update(p, t)
        found = streamed.compute()
        assert found.negative_log_likelihood.item() == pytest.approx(nll, rel=1e-12)
        assert found.brier_score.item() == pytest.approx(brier, rel=1e-12)
        assert found.accuracy.item() == pytest.approx(accuracy_score(labels, flat.argmax(1)))
        assert found.count.item() == len(labels)

    def test_reductions_are_those_of_torch(self, classified):
        probabilities, target = classified(size=(3,), ignored=0.3, dtype=torch.float64)
        for reduction in ("mean", "sum", "none"):
            torch.testing.assert_close(
                metrics.negative_log_likelihood(probabilities, target, reduction=reduction),
                functional.nll_loss(probabilities.log(), target, reduction=reduction),
            )
        each = metrics.brier_score(probabilities, target, reduction="none")
        assert (each[target < 0] == 0).all()
        assert each.sum().item() == pytest.approx(metrics.brier_score(probabilities, target, reduction="sum").item())

    def test_another_ignored_class(self, classified):
        probabilities, target = classified()
        there = target != 2
        for function in (metrics.negative_log_likelihood, metrics.brier_score):
            torch.testing.assert_close(
                function(probabilities, target, ignore_index=2), function(probabilities[there], target[there])
            )


def test_the_mean_of_probabilities_is_scored_not_that_of_their_logarithms():
    """Trap 8: the predictive distribution of two members that disagree is even; a geometric mean would be 0.1."""
    samples = torch.tensor([[[0.99, 0.01]], [[0.01, 0.99]]])
    nll = metrics.negative_log_likelihood(samples.mean(0), torch.tensor([0]))
    assert nll.item() == pytest.approx(math.log(2), rel=1e-6)


def test_sure_and_right_is_0_sure_and_wrong_is_the_worst():
    sure = torch.eye(3)
    right, wrong = torch.arange(3), torch.tensor([1, 2, 0])
    assert metrics.negative_log_likelihood(sure, right).item() == 0
    assert metrics.negative_log_likelihood(sure, wrong).item() == math.inf
    assert metrics.brier_score(sure, right).item() == 0
    assert metrics.brier_score(sure, wrong).item() == 2
    scores = metrics.ClassificationScores().update(sure, wrong).compute()
    assert (scores.accuracy.item(), scores.negative_log_likelihood.item()) == (0, math.inf)


def test_the_mean_of_nothing_is_nan():
    ignored = torch.full((2,), -100)
    assert metrics.negative_log_likelihood(torch.rand(2, 3), ignored).isnan()
    assert metrics.brier_score(torch.rand(0, 3), ignored[:0]).isnan()


def test_nan_goes_through_functions_where_it_counts(classified):
    probabilities, target = classified(n=4)
    probabilities[1] = torch.nan
    for function in (metrics.negative_log_likelihood, metrics.brier_score):
        assert function(probabilities, target).isnan()
        ignored = target.clone()
        ignored[1] = -100
        assert function(probabilities, ignored).isfinite()
        assert torch.equal(function(probabilities, target, reduction="none").isnan(), torch.arange(4) == 1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dtypes(classified, dtype):
    probabilities, target = classified(dtype=dtype)
    exact = probabilities.double()
    for function in (metrics.negative_log_likelihood, metrics.brier_score):
        assert function(probabilities, target).dtype == torch.float64
        torch.testing.assert_close(function(probabilities, target), function(exact, target), rtol=1e-6, atol=0)
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        assert function(probabilities, target, reduction="none").dtype == wide


def test_a_prediction(prediction):
    made, target = prediction(size=(4, 4)), torch.zeros(5, 4, 4, dtype=torch.int64)
    for function in (metrics.negative_log_likelihood, metrics.brier_score):
        assert torch.equal(function(made, target), function(made.mean, target))
    scores = metrics.ClassificationScores().update(made, target).compute()
    assert scores.brier_score.item() == pytest.approx(metrics.brier_score(made, target).item())


class TestGaussianMixture:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("homoscedastic", [False, True])
    def test_density_of_the_mixture(self, size, homoscedastic):
        means = torch.randn(20, 6, *size, dtype=torch.float64)
        variances = 0.3 if homoscedastic else torch.rand(20, 6, *size, dtype=torch.float64) + 0.1
        target = torch.randn(6, *size, dtype=torch.float64)
        density = scipy.stats.norm.pdf(target.numpy(), means.numpy(), np.sqrt(np.asarray(variances))).mean(0)
        found = metrics.gaussian_mixture_nll(means, target, variances, reduction="none")
        np.testing.assert_allclose(found, -np.log(density), rtol=1e-12)
        mean = metrics.gaussian_mixture_nll(means, target, variances)
        assert mean.item() == pytest.approx(-np.log(density).mean())

    def test_densities_that_underflow(self):
        """Every draw is 100 deviations away: exp(-5000) is 0, its logarithm is not."""
        means = torch.tensor([[0.0], [1.0]])
        found = metrics.gaussian_mixture_nll(means, torch.tensor([100.0]), 1.0)
        expected = 99**2 / 2 + math.log(2 * math.pi) / 2 + math.log(2)  # the nearer draw has it all
        assert found.item() == pytest.approx(expected, rel=1e-6)

    def test_one_draw_is_the_normal_distribution(self):
        mean, variance, target = torch.randn(5), torch.rand(5) + 0.5, torch.randn(5)
        torch.testing.assert_close(
            metrics.gaussian_mixture_nll(mean[None], target, variance[None]).float(),
            functional.gaussian_nll_loss(mean, target, variance, full=True),
        )

    def test_it_is_no_more_than_the_mean_of_the_draws_own(self):
        means, target = torch.randn(9, 50), torch.randn(50)
        own = torch.stack([metrics.gaussian_mixture_nll(mean[None], target, 0.5) for mean in means])
        assert metrics.gaussian_mixture_nll(means, target, 0.5) < own.mean()

    def test_half_precision_is_widened(self):
        means, target = torch.randn(4, 5).bfloat16(), torch.randn(5).bfloat16()
        exact = metrics.gaussian_mixture_nll(means.double(), target.double(), 0.5)
        assert metrics.gaussian_mixture_nll(means, target, 0.5).item() == pytest.approx(exact.item(), rel=1e-6)
        assert metrics.gaussian_mixture_nll(means * torch.nan, target, 0.5).isnan()

    def test_errors(self):
        name, means, target = "gaussian_mixture_nll: argument", torch.zeros(3, 2), torch.zeros(2)
        call = metrics.gaussian_mixture_nll
        with pytest.raises(ValueError, match=rf"{name} 'target' must be of shape \(2,\), got shape \(3, 2\)"):
            call(means, means, 1.0)
        with pytest.raises(ValueError, match=rf"{name} 'variances' must be of shape \(3, 2\), got shape \(3, 1\)"):
            call(means, target, torch.ones(3, 1))
        with pytest.raises(ValueError, match=rf"{name} 'variances' must be above 0, got 0\.0"):
            call(means, target, 0.0)
        with pytest.raises(TypeError, match=f"{name} 'variances' must be a tensor or a number, got None"):
            call(means, target, None)
        with pytest.raises(ValueError, match=rf"{name} 'means' must be of shape \[T, N, \*\] with T at least 1"):
            call(means[:0], target, 1.0)
        with pytest.raises(ValueError, match=f"{name} 'reduction' must be one of 'mean', 'sum', 'none', got 'max'"):
            call(means, target, 1.0, reduction="max")
        with pytest.raises(TypeError, match=f"{name} 'target' must be float32"):
            call(means, target.long(), 1.0)
        with pytest.raises(RuntimeError, match=f"{name} 'target' must be on the device cpu, got meta"):
            call(means, target.to("meta"), 1.0)


@pytest.mark.parametrize("name", ["negative_log_likelihood", "brier_score"])
def test_errors_of_functions(name, prediction):
    function = getattr(metrics, name)
    probabilities, target = torch.full((4, 3), 1 / 3), torch.zeros(4, dtype=torch.int64)
    argument = f"{name}: argument"
    with pytest.raises(ValueError, match=rf"{argument} 'target' must be of shape \(4,\), got shape \(4, 1\)"):
        function(probabilities, target[:, None])
    with pytest.raises(ValueError, match=rf"{argument} 'target' must be in \[0, 3\) or -100 \(ignored\), got 3"):
        function(probabilities, target + 3)
    with pytest.raises(ValueError, match=rf"{argument} 'target' must be in \[0, 3\) or 7 \(ignored\), got -100"):
        function(probabilities, target - 100, ignore_index=7)
    with pytest.raises(TypeError, match=f"{argument} 'target' must be of int64, got torch.float32"):
        function(probabilities, target.float())
    with pytest.raises(TypeError, match=f"{argument} 'target' must be of int64, got torch.bool"):
        function(probabilities, target.bool())
    with pytest.raises(TypeError, match=f"{argument} 'target' must be a tensor of classes, got list"):
        function(probabilities, [0, 0, 0, 0])
    with pytest.raises(RuntimeError, match=f"{argument} 'target' must be on the device cpu, got meta"):
        function(probabilities, target.to("meta"))
    with pytest.raises(ValueError, match=rf"{argument} 'probabilities' must be in \[0, 1\], got -2"):
        function(probabilities * -6, target)
    with pytest.raises(
        ValueError, match=rf"{argument} 'probabilities' must be of shape \[N, C, \*\], got shape \(4,\)"
    ):
        function(probabilities[:, 0], target)
    with pytest.raises(TypeError, match=f"{argument} 'probabilities' must be a tensor, got list"):
        function([0.5], target)
    with pytest.raises(ValueError, match=f"{argument} 'probabilities' must be a tensor, or a Pred.*'gaussian'"):
        function(prediction(link="gaussian"), target)
    with pytest.raises(TypeError, match=f"{argument} 'ignore_index' must be an int, got None"):
        function(probabilities, target, ignore_index=None)
    with pytest.raises(ValueError, match=f"{argument} 'reduction' must be one of"):
        function(probabilities, target, reduction=None)


def test_errors_of_the_stream():
    update = metrics.ClassificationScores().update
    probabilities, target = torch.full((4, 3), 1 / 3), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(
        ValueError, match=r"ClassificationScores.update: argument 'probabilities' must be in \[0, 1\], "
    ):
        update(probabilities * 6, target)
    with pytest.raises(ValueError, match=r"ClassificationScores.update: argument 'probabilities' .* got nan"):
        update(probabilities * torch.nan, target)
    with pytest.raises(TypeError, match=r"ClassificationScores: argument 'ignore_index' must be an int, got 0.5"):
        metrics.ClassificationScores(ignore_index=0.5)
