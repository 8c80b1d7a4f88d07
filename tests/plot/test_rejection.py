"""What is gained by keeping only what is certain."""

from dataclasses import replace

import pytest
import torch

import bayesops as bo


def test_precision_against_recall(curve, legend_of, make_axes):
    (given,) = make_axes(1)
    ax = bo.plot.precision_recall({"entropy": curve, "variance": replace(curve, risk=curve.oracle)}, ax=given)
    assert ax is given
    entropy, variance = ax.lines
    assert entropy.get_xydata().tolist() == [[0.25, 1], [0.5, 0.75], [0.75, 0.7], [1, 0.5]]
    assert variance.get_ydata().tolist() == [1, 1, 0.7, 0.5]
    assert entropy.get_linestyle() != variance.get_linestyle()
    assert legend_of(ax) == ["entropy", "variance"]
    assert bo.plot.precision_recall(curve).get_legend() is None


def test_risk_against_coverage_with_areas_and_the_oracle(curve, legend_of, make_axes):
    (given,) = make_axes(1)
    ax = bo.plot.risk_coverage({"entropy": curve, "variance": replace(curve, risk=curve.oracle)}, ax=given)
    assert ax is given
    entropy, _, oracle = ax.lines  # the oracle is the same for both
    assert entropy.get_xydata().tolist() == [[0.25, 0], [0.5, 0.25], [0.75, 0.3], [1, 0.5]]
    assert oracle.get_ydata().tolist() == [0, 0, 0.3, 0.5]
    assert legend_of(ax) == ["entropy, AURC 0.2625", "variance, AURC 0.2625", "oracle, AURC 0.2000"]
    assert ax.get_ylim()[0] == 0


def test_networks_with_other_errors_have_oracles_of_their_own(curve, legend_of):
    other = replace(curve, oracle=curve.oracle / 2, oracle_area=curve.oracle_area / 2)
    ax = bo.plot.risk_coverage({"a": curve, "b": other})
    assert legend_of(ax)[2:] == ["a, oracle, AURC 0.2000", "b, oracle, AURC 0.1000"]
    assert ax.lines[3].get_ydata().tolist() == [0, 0, 0.15, 0.25]
    assert len(bo.plot.risk_coverage({"a": curve, "b": other}, oracle=False).lines) == 2


def test_what_the_measure_finds_is_drawn():
    measured = bo.metrics.Rejection()
    measured.update(torch.tensor([0.1, 0.4, 0.2, 0.3]), correct=torch.tensor([True, False, True, False]))
    ax = bo.plot.precision_recall(measured.compute())
    assert ax.lines[0].get_xydata() == pytest.approx(
        torch.tensor([[0.25, 1], [0.5, 1], [0.75, 2 / 3], [1, 0.5]]).numpy(), abs=1e-6
    )


def test_errors_of_a_regression_have_a_risk_and_no_precision(curve):
    regression = replace(curve, classification=False)
    assert bo.plot.risk_coverage(regression).get_ylabel() == "risk: mean error"
    assert bo.plot.risk_coverage(curve).get_ylabel() == "risk: share of wrong answers"
    with pytest.raises(ValueError, match="precision_recall: argument 'data' must be curves of right and wrong answers"):
        bo.plot.precision_recall({"a": curve, "b": regression})


@pytest.mark.parametrize("draw", [bo.plot.precision_recall, bo.plot.risk_coverage])
def test_other_data_are_refused(draw, histogram):
    with pytest.raises(TypeError, match=f"{draw.__name__}: argument 'data' must be a RejectionCurve, or a mapping"):
        draw(histogram)
