"""A measure within its uncertainty, against what was varied."""

import pytest
import torch

import bayesops as bo


def ends(band):
    """Lower and upper end of a shaded band at each place where it has corners."""
    corners = band.get_paths()[0].vertices
    return {
        float(x): (corners[corners[:, 0] == x, 1].min(), corners[corners[:, 0] == x, 1].max()) for x in corners[:, 0]
    }


def test_a_line_within_a_band(make_axes):
    (given,) = make_axes(1)
    mean, spread = torch.tensor([0.9, 0.5], requires_grad=True), torch.tensor([0.1, 0.25])
    ax = bo.plot.sweep([0.0, 2.0], mean, spread, xlabel="noise", ylabel="accuracy", ax=given)
    assert ax is given
    (line,), (band,) = ax.lines, ax.collections
    assert line.get_xydata().ravel() == pytest.approx([0, 0.9, 2, 0.5])
    assert ends(band) == {0.0: pytest.approx((0.8, 1.0)), 2.0: pytest.approx((0.25, 0.75))}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("noise", "accuracy")
    assert ax.get_legend() is None


def test_a_band_may_be_given_by_its_ends():
    ax = bo.plot.sweep([1, 2], [0.5, 0.6], [[0.1, 0.2], [0.5, 0.9]])
    assert ends(ax.collections[0]) == {1.0: pytest.approx((0.1, 0.5)), 2.0: pytest.approx((0.2, 0.9))}


def test_several_series_differ_in_line_marker_and_hatch(legend_of):
    mean = {"noise": [1.0, 0.5], "occlusion": [torch.tensor(0.9), torch.tensor(0.4)]}
    ax = bo.plot.sweep([0, 1], mean, {name: [0.1, 0.1] for name in mean})
    assert legend_of(ax) == ["noise", "occlusion"]
    first, second = ax.lines
    assert second.get_ydata() == pytest.approx([0.9, 0.4])
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()
    assert ax.collections[0].get_hatch() != ax.collections[1].get_hatch()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [1.0], [0.1, 0.1]), r"sweep: argument 'mean' must be of shape \[2\], got shape \(1,\)"),
        (([0, 1], [1.0, 1.0], [0.1]), r"'spread' must be of shape \[2\] or \[2, 2\], got shape \(1,\)"),
        (([0, 1], [1.0, 1.0], [0.1, -0.1]), "'spread' must be not negative"),
        (([0, 1], [1.0, 1.0], [[1.0, 1.0], [0.9, 1.1]]), "lower ends not above upper ends"),
        (([[0, 1]], [1.0, 1.0], [0.1, 0.1]), "'values' must be of 1 dimensions"),
        (([0, 1], {"a": [1.0, 1.0]}, {"b": [0.1, 0.1]}), "'spread' must be for 'a', as the mean is, got 'b'"),
        (([], [], []), "'values' must be not empty"),
    ],
)
def test_what_does_not_fit_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        bo.plot.sweep(*arguments)


def test_what_is_no_number_is_said():
    with pytest.raises(TypeError, match="'mean' must be a tensor, an array or numbers, got str"):
        bo.plot.sweep([0, 1], "accuracy", [0, 0])
