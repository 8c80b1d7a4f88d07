"""The parts of a variance: they are what they say, and add up."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesops import metrics


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(2, 6), st.integers(0, 2**31))
def test_of_classes_they_are_the_diagonals_of_the_source(t, c, seed):
    samples = torch.randn(t, 3, c, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).softmax(2)
    parts = metrics.classification_variances(samples)
    for n in range(3):
        p = samples[:, n].numpy()
        aleatoric = np.mean([np.diag(q) - np.outer(q, q) for q in p], 0)
        epistemic = np.mean([np.outer(q - p.mean(0), q - p.mean(0)) for q in p], 0)
        np.testing.assert_allclose(parts.aleatoric[n], np.diag(aleatoric), atol=1e-15)
        np.testing.assert_allclose(parts.epistemic[n], np.diag(epistemic), atol=1e-15)
    mean = samples.mean(0)
    torch.testing.assert_close(parts.total, mean * (1 - mean))


def test_of_classes_two_members_that_disagree_are_all_epistemic():
    parts = metrics.classification_variances(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    assert parts.aleatoric.tolist() == [[0, 0]]
    assert parts.epistemic.tolist() == [[0.25, 0.25]]


@pytest.mark.parametrize("size", [(), (3, 4)])
def test_of_classes_from_a_prediction(prediction, size):
    made = prediction(size=size, return_samples=True)
    carried, drawn = metrics.classification_variances(made), metrics.classification_variances(made.samples)
    torch.testing.assert_close(carried.aleatoric, drawn.aleatoric, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(carried.epistemic, drawn.epistemic, rtol=1e-4, atol=1e-6)


def test_of_a_regression_they_are_those_of_all_noise_drawn():
    """The variance of a mixture, found by drawing from it; 4e6 numbers, five standard errors."""
    means, variances = torch.tensor([[1.0], [3.0], [-2.0]]), torch.tensor([[0.5], [1.0], [4.0]])
    drawn = means + variances.sqrt() * torch.randn(3, 4_000_000 // 3)
    parts = metrics.regression_variances(means, variances)
    assert parts.total.item() == pytest.approx(drawn.var().item(), rel=5e-3)
    assert parts.aleatoric.item() == pytest.approx(5.5 / 3)
    assert parts.epistemic.item() == pytest.approx(np.var([1, 3, -2]))


def test_of_a_regression_with_one_noise_for_all():
    means = torch.randn(10, 4, dtype=torch.float64)
    parts = metrics.regression_variances(means, 0.25)
    assert torch.equal(parts.aleatoric, torch.full((4,), 0.25, dtype=torch.float64))
    np.testing.assert_allclose(parts.epistemic, means.numpy().var(0))


def test_of_a_regression_from_a_prediction(prediction):
    made = prediction(link="gaussian")
    parts = metrics.regression_variances(made)
    assert parts.aleatoric is made.aleatoric_variance
    assert parts.epistemic is made.variance
    torch.testing.assert_close(parts.total, made.total_variance)


def test_one_draw_has_no_spread():
    assert metrics.classification_variances(torch.rand(1, 2, 3)).epistemic.abs().max() == 0
    assert metrics.regression_variances(torch.rand(1, 2), torch.rand(1, 2)).epistemic.abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_dtypes(dtype):
    samples = torch.randn(6, 4, 3).softmax(2).to(dtype)
    for parts, exact in (
        (metrics.classification_variances(samples), metrics.classification_variances(samples.double())),
        (
            metrics.regression_variances(samples, samples),
            metrics.regression_variances(samples.double(), samples.double()),
        ),
    ):
        assert parts.total.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        torch.testing.assert_close(parts.total.double(), exact.total, rtol=1e-5, atol=1e-6)


def test_errors(prediction):
    with pytest.raises(ValueError, match=r"classification_variances: argument 'samples' must be of shape \[T, N, C"):
        metrics.classification_variances(torch.rand(3, 2))
    with pytest.raises(
        ValueError, match=r"classification_variances: argument 'samples' must be a tensor, .*'gaussian'"
    ):
        metrics.classification_variances(prediction(link="gaussian"))
    name = "regression_variances: argument"
    means = torch.rand(3, 2)
    with pytest.raises(
        ValueError, match=rf"{name} 'means' must be draws, or a Prediction with link='gaussian', got one"
    ):
        metrics.regression_variances(prediction(link="identity"))
    with pytest.raises(ValueError, match=rf"{name} 'variances' must be left out where a Prediction is given, got Tens"):
        metrics.regression_variances(prediction(link="gaussian"), means)
    with pytest.raises(TypeError, match=f"{name} 'variances' must be a tensor or a number, got NoneType"):
        metrics.regression_variances(means)
    with pytest.raises(TypeError, match=f"{name} 'variances' must be float32"):
        metrics.regression_variances(means, torch.ones(3, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=rf"{name} 'variances' must be of shape \(3, 2\), got shape \(3, 1\)"):
        metrics.regression_variances(means, torch.rand(3, 1))
    with pytest.raises(ValueError, match=f"{name} 'variances' must be at least 0, got -1"):
        metrics.regression_variances(means, -1)
    with pytest.raises(RuntimeError, match=f"{name} 'variances' must be on the device cpu, got meta"):
        metrics.regression_variances(means, torch.rand(3, 2, device="meta"))
