"""Intervals of the classes of one image."""

import numpy as np
import pytest
import torch

import bayesops as bo


@pytest.fixture
def draws():
    return torch.randn(40, 3, 4).softmax(-1)


def bars(ax):
    return [(bar.get_x() + bar.get_width() / 2, bar.get_y(), bar.get_y() + bar.get_height()) for bar in ax.patches]


def test_bars_reach_from_quantile_to_quantile_and_dots_are_means(draws):
    ax = bo.plot.class_intervals(draws, 1, level=0.8)
    low, high = draws[:, 1].double().quantile(torch.tensor([0.1, 0.9]).double(), 0)
    places, lower, upper = zip(*bars(ax), strict=True)
    assert places == pytest.approx((0, 1, 2, 3))
    assert lower == pytest.approx(low.tolist())
    assert upper == pytest.approx(high.tolist())
    (dots,) = ax.lines
    assert dots.get_ydata() == pytest.approx(draws[:, 1].mean(0).numpy(), abs=1e-6)
    assert ax.get_ylim() == (-0.03, 1.03)


def test_quantiles_of_a_prediction_are_taken_as_they_are(draws, predicted):
    # These are not those of the draws, and in no order.
    quantiles = torch.stack([torch.full((3, 4), value) for value in (0.7, 0.5, 0.2)])
    prediction = predicted(draws, quantiles=quantiles, quantile_levels=(0.975, 0.5, 0.025), samples=draws)
    for _, low, high in bars(bo.plot.class_intervals(prediction)):
        assert (low, high) == pytest.approx((0.2, 0.7))


def test_a_prediction_of_other_levels_is_drawn_of_its_draws(draws, predicted):
    quantiles = torch.zeros(2, 3, 4)
    prediction = predicted(draws, quantiles=quantiles, quantile_levels=(0.1, 0.9), samples=draws)
    assert bars(bo.plot.class_intervals(prediction, 2)) == bars(bo.plot.class_intervals(draws, 2))


def test_the_image_stands_beside_with_answer_and_entropy(draws, predicted, make_axes):
    image = torch.rand(1, 6, 5)
    prediction = predicted(draws, samples=draws)
    given = make_axes(2)
    axes = bo.plot.class_intervals(
        prediction, 2, image=image, classes=["ant", "bee", "cat", "dog"], truth=1, axes=given
    )
    assert list(axes) == list(given)
    shown, intervals = axes
    np.testing.assert_allclose(shown.images[0].get_array(), image[0], atol=1e-6)
    assert shown.get_title() == f"answer {['ant', 'bee', 'cat', 'dog'][int(prediction.mean[2].argmax())]}"
    assert shown.get_xlabel() == f"entropy {float(prediction.entropy[2]):.2f} nats"
    assert [label.get_text() for label in intervals.get_xticklabels()] == ["ant", "bee\n(label)", "cat", "dog"]


def test_classes_that_are_certain_have_an_entropy_of_0(make_axes):
    shown, _ = bo.plot.class_intervals(torch.eye(3)[None], 0, image=torch.rand(4, 4), axes=make_axes(2))
    assert shown.get_xlabel() == "entropy 0.00 nats"


def test_bright_images_are_scaled(draws):
    normalised = torch.linspace(-2, 2, 12).reshape(3, 2, 2)
    shown, _ = bo.plot.class_intervals(draws, image=normalised)
    np.testing.assert_allclose(shown.images[0].get_array(), (normalised.permute(1, 2, 0) + 2) / 4, atol=1e-6)
    shown, _ = bo.plot.class_intervals(draws, image=torch.tensor([[0, 51], [102, 255]], dtype=torch.uint8))
    np.testing.assert_allclose(shown.images[0].get_array(), [[0, 0.2], [0.4, 1]])


def test_what_cannot_be_drawn_is_said(draws, predicted, make_axes):
    prediction = predicted(draws, quantiles=torch.zeros(2, 3, 4), quantile_levels=(0.05, 0.95))
    with pytest.raises(
        ValueError, match=r"class_intervals: argument 'prediction' must be made with quantiles=\(0.025, 0"
    ):
        bo.plot.class_intervals(prediction)
    with pytest.raises(ValueError, match=r"'prediction' must be .*link='softmax', got one with link='identity'"):
        bo.plot.class_intervals(predicted(draws.log(), "identity", samples=draws.log()))
    with pytest.raises(TypeError, match=r"'prediction' must be a Prediction, or a tensor .* got list"):
        bo.plot.class_intervals([[0.5, 0.5]])
    with pytest.raises(ValueError, match=r"'prediction' must be of 3 dimensions, got shape \(3, 4\)"):
        bo.plot.class_intervals(draws[0])
    with pytest.raises(ValueError, match=r"'prediction' must be one with a mean of shape \[N, C\]"):
        bo.plot.class_intervals(predicted(torch.rand(5, 2, 3, 4, 4)))
    with pytest.raises(ValueError, match="'index' must be one of 3 images, got 3"):
        bo.plot.class_intervals(draws, 3)
    with pytest.raises(TypeError, match="'index' must be an int, got float"):
        bo.plot.class_intervals(draws, 0.5)
    with pytest.raises(TypeError, match=r"'level' must be a number in \(0, 1\), got list"):
        bo.plot.class_intervals(draws, level=[0.5])
    with pytest.raises(ValueError, match=r"'level' must be in \(0, 1\), got 95"):
        bo.plot.class_intervals(draws, level=95)
    with pytest.raises(ValueError, match=r"'truth' must be a class in \[0, 4\), got 4"):
        bo.plot.class_intervals(draws, truth=4)
    with pytest.raises(ValueError, match="'classes' must be 4 names, got 2"):
        bo.plot.class_intervals(draws, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"'image' must be of shape .* got shape \(2, 4, 4\)"):
        bo.plot.class_intervals(draws, image=torch.rand(2, 4, 4))
    with pytest.raises(ValueError, match="'axes' must be 2 Axes"):
        bo.plot.class_intervals(draws, image=torch.rand(4, 4), axes=make_axes(1))
