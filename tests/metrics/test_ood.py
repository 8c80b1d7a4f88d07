"""Detection of what is out of the domain, against scikit-learn and by counting."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from bayesops import metrics


def assert_is_that_of_scikit_learn(inside, outside):
    found = metrics.ood_detection(inside, outside)
    scores = torch.cat([inside.flatten(), outside.flatten()]).double().numpy()
    is_outside = np.arange(len(scores)) >= inside.numel()
    assert found.auroc.item() == pytest.approx(roc_auc_score(is_outside, scores), abs=2e-6)
    assert found.aupr_out.item() == pytest.approx(average_precision_score(is_outside, scores), abs=2e-6)
    assert found.aupr_in.item() == pytest.approx(average_precision_score(~is_outside, -scores), abs=2e-6)
    false, true, _ = roc_curve(~is_outside, -scores, drop_intermediate=False)
    assert found.fpr95.item() == pytest.approx(false[true >= 0.95 - 1e-12].min(), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.booleans(), st.integers(0, 2**31))
def test_scikit_learn(n, m, ties, seed):
    generator = torch.Generator().manual_seed(seed)
    inside, outside = torch.randn(n, generator=generator), torch.randn(m, generator=generator) + 0.5
    if ties:
        inside, outside = inside.round(), outside.round()
    assert_is_that_of_scikit_learn(inside, outside)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 100.0, 1e30])
def test_scores_of_any_size(factor):
    """Scores above 1 are no logits: through a sigmoid, 20 and 40 would be equal."""
    assert_is_that_of_scikit_learn(factor * torch.randn(300).exp(), factor * torch.randn(200).exp() + factor)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_dtypes_and_shapes(dtype):
    assert_is_that_of_scikit_learn(torch.rand(4, 5, 3).to(dtype), torch.rand(7, 2).to(dtype))


def test_apart_alike_and_reversed():
    low, high = torch.arange(100.0), torch.arange(100.0) + 1000
    apart, alike, reversed_ = (metrics.ood_detection(*pair) for pair in ((low, high), (low, low), (high, low)))
    assert [value.item() for value in (apart.auroc, apart.aupr_in, apart.aupr_out, apart.fpr95)] == [1, 1, 1, 0]
    assert alike.auroc.item() == pytest.approx(0.5)
    assert alike.fpr95.item() == pytest.approx(0.95)
    assert (reversed_.auroc.item(), reversed_.fpr95.item()) == (0, 1)
    constant = metrics.ood_detection(torch.zeros(30), torch.zeros(10))
    assert [value.item() for value in vars(constant).values()] == [0.5, 0.75, 0.25, 1]
    assert all(value.dtype == torch.float64 for value in vars(constant).values())


def test_infinite_scores():
    found = metrics.ood_detection(torch.tensor([0.0, -torch.inf]), torch.tensor([torch.inf, 1.0]))
    assert (found.auroc.item(), found.fpr95.item()) == (1, 0)


def test_errors(monkeypatch):
    scores = torch.rand(3)
    call = metrics.ood_detection
    with pytest.raises(
        ValueError, match=r"ood_detection: argument 'in_domain' must be of at least one element, got sh"
    ):
        call(scores[:0], scores)
    with pytest.raises(
        ValueError, match=r"ood_detection: argument 'out_of_domain' must be of at least one element, go"
    ):
        call(scores, scores[:0])
    with pytest.raises(ValueError, match="ood_detection: argument 'out_of_domain' must be free of NaN, got 1 of them"):
        call(scores, torch.tensor([0.0, torch.nan]))
    with pytest.raises(TypeError, match="ood_detection: argument 'in_domain' must be float32"):
        call(torch.arange(3), scores)
    with pytest.raises(
        RuntimeError, match="ood_detection: argument 'out_of_domain' must be on the device cpu, got meta"
    ):
        call(scores, scores.to("meta"))


@pytest.mark.parametrize("name", ["ood_detection", "MeanIoU"])
def test_without_torchmetrics(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.classification", None)
    arguments = (3,) if name == "MeanIoU" else (torch.rand(3), torch.rand(3))
    with pytest.raises(ModuleNotFoundError, match=rf"{name}: needs torchmetrics: pip install 'bayesops\[metrics\]'"):
        getattr(metrics, name)(*arguments)
