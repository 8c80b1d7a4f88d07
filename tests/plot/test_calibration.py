"""Reliability diagrams, and coverage of intervals."""

from dataclasses import replace

import pytest
import torch

import bayesops as bo


def test_accuracy_against_confidence_and_the_counts_above(reliability, legend_of, make_axes):
    (given,) = make_axes(1)
    ax = bo.plot.reliability_diagram(reliability, ax=given)
    assert ax is given
    diagonal, line = ax.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert line.get_xydata().tolist() == [[0.4, 0.5], [0.6, 0.4], [0.9, 0.8]]  # without the empty bin
    (gaps,) = ax.collections
    assert [segment.tolist() for segment in gaps.get_segments()] == [
        [[0.4, 0.4], [0.4, 0.5]], [[0.6, 0.4], [0.6, 0.6]], [[0.9, 0.8], [0.9, 0.9]]
    ]  # fmt: skip
    assert legend_of(ax) == ["calibrated; below: too sure", "gap", f"ECE {float(reliability.ece):.3f}"]
    (strip,) = ax.child_axes
    assert strip.patches[0].get_data().values.tolist() == [0, 2, 10, 100]
    assert strip.patches[0].get_data().edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert strip.get_yscale() == "log"
    assert strip.get_ylim()[1] > 100
    assert ax.get_xlim() == ax.get_ylim() == strip.get_xlim() == (0, 1)


def test_several_networks_differ_in_more_than_colour(reliability, legend_of):
    better = replace(reliability, count=reliability.count * 5)
    ax = bo.plot.reliability_diagram({"plain": reliability, "Bayesian": better})
    _, first, second = ax.lines
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()
    assert [label.split(",")[0] for label in legend_of(ax)[1:]] == ["plain", "Bayesian"]
    assert not ax.collections  # gaps of several would cover each other
    (strip,) = ax.child_axes
    assert [patch.get_data().values.max() for patch in strip.patches] == [100, 500]
    assert strip.get_ylim()[1] > 500


def test_counts_can_be_left_out(reliability):
    assert bo.plot.reliability_diagram(reliability, counts=False).child_axes == []


def test_what_the_measure_finds_is_drawn():
    probabilities = torch.tensor([[0.3, 0.7], [0.9, 0.1], [0.4, 0.6]])
    measured = bo.metrics.Reliability(num_bins=3).update(probabilities, torch.tensor([1, 0, 0])).compute()
    ax = bo.plot.reliability_diagram(measured)
    assert ax.lines[1].get_xydata() == pytest.approx(torch.tensor([[0.6, 0.0], [0.8, 1.0]]).numpy())
    assert ax.get_legend().get_texts()[-1].get_text() == "ECE 0.333"


def test_coverage_against_level(intervals, legend_of, make_axes):
    (given,) = make_axes(1)
    ax = bo.plot.interval_calibration(
        {"both": intervals, "noise": replace(intervals, coverage=intervals.levels)}, ax=given
    )
    assert ax is given
    _, both, noise = ax.lines
    assert both.get_xydata().tolist() == [[0.5, 0.4], [0.9, 0.7]]
    assert noise.get_xydata().tolist() == [[0.5, 0.5], [0.9, 0.9]]
    assert legend_of(ax) == ["calibrated; below: too narrow", "both, error 0.150", "noise, error 0.000"]


@pytest.mark.parametrize(
    ("draw", "kind"),
    [(bo.plot.reliability_diagram, "ReliabilityData"), (bo.plot.interval_calibration, "IntervalCalibrationData")],
)
def test_what_cannot_be_drawn_is_said(draw, kind, histogram):
    with pytest.raises(TypeError, match=f"{draw.__name__}: argument 'data' must be a {kind}, or .* got HistogramData"):
        draw({"a": histogram})
    with pytest.raises(ValueError, match="'data' must be one series or more, got an empty mapping"):
        draw({})


def test_classes_are_drawn_one_by_one(reliability):
    by_class = replace(reliability, count=reliability.count.expand(3, -1))
    with pytest.raises(ValueError, match=r"'data' must be of all classes together, or of one.*got shape \(3, 4\)"):
        bo.plot.reliability_diagram(by_class)
