"""Mean and standard error against the number of draws."""

import numpy as np
import pytest
import torch

import bayesops as bo


def test_mean_and_standard_error_of_the_first_draws(make_axes):
    draws = torch.rand(50)
    given = make_axes(2)
    axes = bo.plot.sample_convergence(draws, axes=given)
    assert list(axes) == list(given)
    left, right = axes
    means = [draws[:count].double().mean().item() for count in range(1, 51)]
    errors = [draws[:count].double().std().item() / count**0.5 for count in range(2, 51)]
    assert left.lines[0].get_ydata() == pytest.approx(means)
    assert right.lines[0].get_ydata() == pytest.approx(errors)
    assert right.lines[0].get_xdata().tolist() == list(range(2, 51))
    corners = left.collections[0].get_paths()[0].vertices
    at_20 = corners[corners[:, 0] == 20, 1]
    assert (at_20.min(), at_20.max()) == pytest.approx((means[19] - errors[18], means[19] + errors[18]))
    assert left.get_xscale() == right.get_xscale() == right.get_yscale() == "log"
    assert left.get_yscale() == "linear"
    guide = right.lines[1].get_ydata()
    assert guide[-1] == pytest.approx(errors[-1])
    assert guide[0] == pytest.approx(errors[-1] * 5)  # of 2 draws, against 50


def test_a_small_spread_around_a_large_mean_is_kept():
    draws = 1e6 + torch.rand(30, dtype=torch.float64)
    _, right = bo.plot.sample_convergence(draws)
    assert right.lines[0].get_ydata()[-1] == pytest.approx(draws.std().item() / 30**0.5, rel=1e-6)


def test_the_standard_error_is_that_of_the_prediction(predicted, legend_of):
    draws = torch.randn(25, 2, 5).softmax(-1)
    prediction = predicted(draws, samples=draws)
    left, right = bo.plot.sample_convergence(prediction, 1, classes=list("abcde"), top=2)
    order = prediction.mean[1].argsort(descending=True)[:2].tolist()
    assert legend_of(right) == ["abcde"[place] for place in order] + ["∝ 1 / √T"]
    for line, mean, place in zip(right.lines, left.lines, order, strict=False):
        assert line.get_ydata()[-1] == pytest.approx(prediction.standard_error[1, place].item(), rel=1e-5)
        assert mean.get_ydata()[-1] == pytest.approx(prediction.mean[1, place].item(), rel=1e-5)


def test_draws_that_are_all_the_same_have_no_error():
    _, right = bo.plot.sample_convergence({"one": torch.ones(4)})
    assert not np.any(right.lines[0].get_ydata())
    assert len(right.lines) == 1  # no slope to compare with


@pytest.mark.filterwarnings("error")
def test_a_series_without_a_label_needs_no_legend(legend_of):
    _, right = bo.plot.sample_convergence(torch.ones(5))
    assert legend_of(right) == []


def test_what_cannot_be_drawn_is_said(predicted):
    draws = torch.rand(4, 2, 3)
    prediction = predicted(draws, samples=draws)
    with pytest.raises(
        ValueError, match="sample_convergence: argument 'samples' must be a prediction made with return_s"
    ):
        bo.plot.sample_convergence(predicted(draws))
    with pytest.raises(ValueError, match=r"'samples' must be a prediction with draws of shape \[T, N, C\]"):
        bo.plot.sample_convergence(predicted(draws[..., None], samples=draws[..., None]))
    with pytest.raises(ValueError, match="'index' must be one of 2 images, got 2"):
        bo.plot.sample_convergence(prediction, 2)
    with pytest.raises(ValueError, match="'top' must be an int of at least 1, got 0"):
        bo.plot.sample_convergence(prediction, top=0)
    with pytest.raises(ValueError, match="'classes' must be 3 names, got 1"):
        bo.plot.sample_convergence(prediction, classes=["a"])
    with pytest.raises(ValueError, match=r"'samples' must be of two draws or more, got \[5, 1\]"):
        bo.plot.sample_convergence({"a": torch.rand(5), "b": torch.rand(1)})
    with pytest.raises(ValueError, match="'samples' must be of 1 dimensions"):
        bo.plot.sample_convergence(draws)
