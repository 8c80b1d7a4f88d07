"""Image, label, prediction and uncertainties side by side."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

import bayesops as bo

IGNORED = -100


@pytest.fixture
def scene():
    """Two images, labels of four classes, and draws [T, N, C, H, W] of the probabilities."""
    images = torch.rand(2, 3, 4, 5)
    labels = torch.randint(4, (2, 4, 5))
    labels[0, 0] = IGNORED
    return images, labels, torch.randn(6, 2, 4, 4, 5).softmax(2)


def shown(ax):
    (image,) = ax.images
    return image.get_array()


def test_every_column_shows_its_map(scene, predicted, make_axes):
    images, labels, draws = scene
    prediction = predicted(draws)
    given = make_axes(2, 5)
    axes = bo.plot.uncertainty_maps(images, labels, prediction, axes=given)
    assert axes.shape == (2, 5)
    assert all(drawn is wanted for drawn, wanted in zip(axes.flat, given.flat, strict=True))
    assert [ax.get_title() for ax in axes[0]] == ["image", "label", "prediction", "aleatoric", "epistemic"]
    for row in range(2):
        np.testing.assert_allclose(shown(axes[row, 0]), images[row].permute(1, 2, 0), atol=1e-6)
        np.testing.assert_array_equal(shown(axes[row, 1]).filled(IGNORED), labels[row])
        np.testing.assert_array_equal(shown(axes[row, 2]), prediction.mean[row].argmax(0))
        np.testing.assert_allclose(shown(axes[row, 3]), prediction.expected_entropy[row], atol=1e-6)
        np.testing.assert_allclose(shown(axes[row, 4]), prediction.mutual_information[row], atol=1e-6)


def test_what_is_ignored_is_hatched(scene, predicted):
    images, labels, draws = scene
    axes = bo.plot.uncertainty_maps(images, labels, predicted(draws))
    assert shown(axes[0, 1]).mask[0].all()
    assert not shown(axes[0, 1]).mask[1:].any()
    assert axes[0, 1].patch.get_hatch()
    assert axes[1, 1].get_xlabel() == "hatched: ignored"
    other = bo.plot.uncertainty_maps(images, labels.where(labels != IGNORED, 255), predicted(draws), ignore_index=255)
    np.testing.assert_array_equal(shown(other[0, 1]).mask, shown(axes[0, 1]).mask)
    none = bo.plot.uncertainty_maps(images, labels.where(labels != IGNORED, 0), predicted(draws))
    assert none[1, 1].get_xlabel() == ""


def colour_bars(axes):
    """The Axes of the figure that were not asked for."""
    return [ax for ax in axes.flat[0].figure.axes if ax not in list(axes.flat)]


def test_rows_share_a_colour_bar_that_begins_at_0(scene, predicted):
    images, labels, draws = scene
    prediction = predicted(draws)
    axes = bo.plot.uncertainty_maps(images, labels, prediction, classes=["sky", "road", "tree", "car"])
    classes, aleatoric, epistemic = colour_bars(axes)
    assert [label.get_text() for label in classes.get_xticklabels()] == ["sky", "road", "tree", "car"]
    assert classes.get_xlim() == (-0.5, 3.5)
    for bar, column, values, name in (
        (aleatoric, 3, prediction.expected_entropy, "expected entropy, nats"),
        (epistemic, 4, prediction.mutual_information, "mutual information, nats"),
    ):
        assert bar.get_xlabel() == name
        for ax in axes[:, column]:
            assert ax.images[0].get_clim() == pytest.approx((0, float(values.max())))


def test_columns_with_and_without_a_bar_are_level(scene, predicted):
    images, labels, draws = scene
    axes = bo.plot.uncertainty_maps(images, labels, predicted(draws))
    axes[0, 0].figure.draw_without_rendering()
    for row in axes:
        assert len({tuple(round(edge, 6) for edge in ax.get_position().intervaly) for ax in row}) == 1


def test_colours_of_classes_can_be_told_apart_in_grey_and_chosen(scene, predicted):
    images, labels, draws = scene
    axes = bo.plot.uncertainty_maps(images, labels, predicted(draws))
    colours = axes[0, 2].images[0].cmap(axes[0, 2].images[0].norm(np.arange(4)))
    lightness = colours[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(lightness) > 0.1).all()
    chosen = ["red", "green", "blue", "white"]
    axes = bo.plot.uncertainty_maps(images, labels, predicted(draws), class_colours=chosen)
    for column in (1, 2):
        image = axes[0, column].images[0]
        assert [to_rgba(name) for name in chosen] == [tuple(each) for each in image.cmap(image.norm(np.arange(4)))]


def test_some_rows_of_a_batch(scene, predicted):
    images, labels, draws = scene
    axes = bo.plot.uncertainty_maps(images, labels, predicted(draws), indices=[1])
    assert axes.shape == (1, 5)
    np.testing.assert_array_equal(shown(axes[0, 1]), labels[1])


def test_maps_that_are_given_go_before_those_of_the_prediction(scene, predicted):
    images, labels, draws = scene
    variance = torch.rand(2, 4, 5, requires_grad=True)
    axes = bo.plot.uncertainty_maps(images, labels, predicted(draws), epistemic=variance, unit="nats²")
    np.testing.assert_allclose(shown(axes[0, 4]), variance[0].detach())
    assert [bar.get_xlabel() for bar in colour_bars(axes)] == ["", "expected entropy, nats", "nats²"]


def test_a_map_of_classes_without_uncertainty_and_without_label(scene):
    images, labels, _ = scene
    axes = bo.plot.uncertainty_maps(images[:1, :1], None, labels[1:])
    assert [ax.get_title() for ax in axes[0]] == ["image", "prediction"]
    np.testing.assert_allclose(shown(axes[0, 0]), images[0, 0])
    np.testing.assert_array_equal(shown(axes[0, 1]), labels[1])
    # One image may come without its dimension.
    axes = bo.plot.uncertainty_maps(images[0], labels[0], labels[1], classes=list("abcd"))
    np.testing.assert_array_equal(shown(axes[0, 2]), labels[1])
    assert [label.get_text() for label in colour_bars(axes)[0].get_xticklabels()] == list("abcd")


def test_quantities_share_their_scale(predicted):
    images, depth = torch.rand(2, 1, 3, 3), torch.rand(2, 3, 3) * 5
    depth[0, 0, 0] = torch.nan
    prediction = predicted(torch.rand(7, 2, 1, 3, 3), "gaussian", aleatoric_variance=torch.rand(2, 1, 3, 3))
    axes = bo.plot.uncertainty_maps(images, depth, prediction)
    assert shown(axes[0, 1]).mask.sum() == 1
    np.testing.assert_allclose(shown(axes[1, 2]), prediction.mean[1, 0], atol=1e-6)
    np.testing.assert_allclose(shown(axes[1, 3]), prediction.aleatoric_variance[1, 0], atol=1e-6)
    np.testing.assert_allclose(shown(axes[1, 4]), prediction.variance[1, 0], atol=1e-6)
    either = torch.cat([depth, prediction.mean[:, 0]])
    either = either[~either.isnan()]
    for ax in axes[:, 1:3].flat:
        assert ax.images[0].get_clim() == pytest.approx((either.min().item(), either.max().item()))


def test_uncertainties_that_are_not_known_are_hatched():
    unknown = torch.tensor([[0.5, torch.nan], [0.25, 0.0]])
    axes = bo.plot.uncertainty_maps(torch.rand(2, 2), None, torch.zeros(2, 2, dtype=torch.int64), unknown)
    assert shown(axes[0, 2]).mask.tolist() == [[False, True], [False, False]]
    assert axes[0, 2].images[0].get_clim() == (0, 0.5)
    assert axes[0, 2].get_xlabel() == "hatched: ignored"


def test_a_map_without_any_uncertainty_is_drawn_as_0():
    certain = torch.zeros(1, 2, 2)
    axes = bo.plot.uncertainty_maps(torch.rand(2, 2), None, torch.zeros(2, 2, dtype=torch.int64), certain)
    assert axes[0, 2].images[0].get_clim() == (0, 1)


def test_long_names_stand_upright_below_the_bar(scene, predicted):
    images, _, draws = scene
    for names, rotation in ((["a", "b", "c", "d"], 0), (["pavement", "pedestrian", "vegetation", "sign"], 90)):
        axes = bo.plot.uncertainty_maps(images, None, predicted(draws), classes=names)
        assert {label.get_rotation() for label in colour_bars(axes)[0].get_xticklabels()} == {rotation}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.rand(2, 2, 4, 5)}, r"'image' must be of shape \[H, W\], \[1, H, W\] or \[3, H, W\]"),
        ({"label": torch.zeros(2, 4, 4, dtype=torch.int64)}, r"'label' must be of shape \[2, 4, 5\], as the images"),
        ({"label": torch.rand(2, 4, 5)}, "'label' must be of an integer type, as the prediction is of classes"),
        ({"label": torch.full((2, 4, 5), 4)}, r"'label' must be classes in \[0, 4\), or ignore_index, got 4"),
        ({"prediction": torch.rand(2, 4, 5, 4)}, r"'prediction' must be of shape \[2, C, 4, 5\]"),
        ({"prediction": torch.rand(4, 5)}, r"'prediction' must be of shape \[2, 4, 5\]"),
        ({"aleatoric": torch.rand(2, 5, 4)}, r"'aleatoric' must be of shape \[2, 4, 5\]"),
        ({"indices": [2]}, r"'indices' must be some of 2 images, got \[2\]"),
        ({"indices": []}, "'indices' must be some of 2 images"),
        ({"classes": ["a"]}, "'classes' must be 4 names, got 1"),
        ({"class_colours": ["red"]}, "'class_colours' must be 4 colours, got 1"),
    ],
)
def test_what_does_not_fit_is_said(scene, predicted, change, message):
    images, labels, draws = scene
    arguments = {"image": images, "label": labels, "prediction": predicted(draws), **change}
    with pytest.raises(ValueError, match=f"uncertainty_maps: argument {message}"):
        bo.plot.uncertainty_maps(**arguments)


def test_axes_of_another_shape_are_refused(scene, predicted, make_axes):
    images, labels, draws = scene
    for shape in ((5,), (5, 2)):
        with pytest.raises(ValueError, match=r"'axes' must be 2x5 Axes, got shape \(5,"):
            bo.plot.uncertainty_maps(images, labels, predicted(draws), axes=make_axes(*shape))
