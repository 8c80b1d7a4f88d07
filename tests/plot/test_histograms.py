"""Entropies of right and of wrong answers."""

from dataclasses import replace

import pytest
import torch

import bayesops as bo


def test_shares_of_each_group_against_the_edges(histogram, legend_of, make_axes):
    (given,) = make_axes(1)
    ax = bo.plot.entropy_histograms(histogram, ax=given)
    assert ax is given
    right, wrong = ax.patches
    assert right.get_data().values.tolist() == [75, 25, 0]
    assert wrong.get_data().values.tolist() == [0, 25, 75]
    assert wrong.get_data().edges.tolist() == [0, 1, 2, 3]
    assert wrong.get_hatch()
    assert legend_of(ax) == ["right (8)", "wrong (4)"]
    assert ax.get_xlabel() == "entropy, bits"
    assert "%" in ax.get_ylabel()


def test_counts(histogram):
    ax = bo.plot.entropy_histograms(replace(histogram, base=None), normalise=False, label="mutual information")
    assert [patch.get_data().values.tolist() for patch in ax.patches] == [[6, 2, 0], [0, 1, 3]]
    assert ax.get_xlabel() == "mutual information, nats"
    assert ax.get_ylabel() == "answers"


def test_another_base_is_named(histogram):
    assert bo.plot.entropy_histograms(replace(histogram, base=10.0)).get_xlabel() == "entropy, base 10"


def test_nothing_wrong_is_drawn_as_nothing(histogram, legend_of):
    ax = bo.plot.entropy_histograms(replace(histogram, wrong=torch.zeros(3, dtype=torch.int64)))
    assert ax.patches[1].get_data().values.tolist() == [0, 0, 0]
    assert legend_of(ax)[1] == "wrong (0)"


def test_what_the_measure_counts_is_drawn():
    entropy = torch.tensor([0.1, 0.2, 1.6, 1.9])
    measured = bo.metrics.EntropyHistogram(num_bins=4, num_classes=4, base=2)
    measured.update(entropy, torch.tensor([True, True, True, False]))
    right, wrong = bo.plot.entropy_histograms(measured.compute(), normalise=False).patches
    assert right.get_data().values.tolist() == [2, 0, 0, 1]
    assert wrong.get_data().values.tolist() == [0, 0, 0, 1]
    assert right.get_data().edges.tolist() == [0, 0.5, 1, 1.5, 2]


def test_other_data_are_refused(reliability):
    with pytest.raises(
        TypeError, match="entropy_histograms: argument 'data' must be a HistogramData, got ReliabilityD"
    ):
        bo.plot.entropy_histograms(reliability)
