"""The steps of a prediction: what they are called, how they run, how much they compute, and that shares are shares."""

from contextlib import nullcontext
from dataclasses import astuple

import pytest
import torch
from torch import nn

from bayesops.nn import BernoulliConv2d, BernoulliLinear, Dropout, GaussianConv2d
from bayesops.profiling.breakdown import break_down, layer_flops

ESTIMATORS = ["local_reparam", "weight_sample", "flipout"]
IMAGES = (torch.rand(2, 1, 8, 8),)
ROWS = (torch.rand(2, 6),)


def assert_adds_up(breakdown):
    whole = sum(step.seconds for step in breakdown.steps) + breakdown.rest
    assert breakdown.seconds == pytest.approx(whole)
    assert sum(step.share for step in breakdown.steps) + breakdown.rest / whole == pytest.approx(1)
    for step in breakdown.steps:
        assert step.seconds > 0
        if step.phases is not None:
            assert sum(astuple(step.phases)) == pytest.approx(1)
            assert min(astuple(step.phases)) >= 0
            assert step.busy > 0


def test_steps_of_a_plan(residual, subject_of):
    breakdown = break_down(subject_of(residual), IMAGES, 4, 0.01)
    assert breakdown.path == "plan"
    assert breakdown.num_samples == 4
    assert [(step.name, step.kind, step.runs) for step in breakdown.steps] == [
        ("stem", "Conv2d", "once"),
        ("relu", "relu", "once"),
        ("first", "BernoulliConv2d + BatchNorm2d + relu", "each"),
        ("second", "BernoulliConv2d + BatchNorm2d + add + relu", "each"),
        ("cumsum", "cumsum", "mapped"),
        ("pool", "relu + MaxPool2d", "each"),
        ("flatten", "flatten", "each"),
        ("drop", "Dropout", "each"),
        ("head", "BernoulliLinear", "each"),
    ]
    assert [step.name for step in breakdown.steps if step.bayesian] == ["first", "second", "drop", "head"]
    assert [step.name for step in breakdown.steps if step.phases] == ["first", "second", "head"]
    assert [step.flops for step in breakdown.steps if step.flops] == [2 * 2 * 4 * 64 * 36] * 2 + [2 * 2 * 3 * 64]
    assert all(step.ratio > 0 for step in breakdown.steps)
    sizes = {step.name: step.activation_bytes for step in breakdown.steps}
    assert (sizes["first"], sizes["pool"], sizes["head"]) == (4 * 2 * 4 * 64, 4 * 2 * 4 * 16, 4 * 2 * 3)
    assert_adds_up(breakdown)


def test_layers_alone_where_there_is_no_plan(untraceable, branching, subject_of):
    for model, path, names in ((untraceable, "vmap", ["first", "second"]), (branching, "loop", ["layer"])):
        with pytest.warns(UserWarning, match="one after another") if path == "loop" else nullcontext():
            breakdown = break_down(subject_of(model), ROWS, 3, 0.01)
        assert breakdown.path == path
        assert [(step.name, step.kind, step.bayesian) for step in breakdown.steps] == [
            (name, "BernoulliLinear", True) for name in names
        ]
        assert breakdown.rest > 0
        assert_adds_up(breakdown)


def test_a_layer_that_is_used_twice_is_one_step(subject_of):
    layer = BernoulliLinear(6, 6)
    breakdown = break_down(subject_of(nn.Sequential(layer, nn.Tanh(), layer)), ROWS, 3, 0.01)
    assert [(step.name, step.flops) for step in breakdown.steps] == [("0", 2 * 2 * 2 * 36), ("1", 0)]


def test_a_plain_layer_and_the_batch_normalisation_folded_into_it_are_one_step(subject_of):
    model = nn.Sequential(BernoulliConv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    breakdown = break_down(subject_of(model, "identity"), IMAGES, 3, 0.01)
    assert [(step.name, step.kind) for step in breakdown.steps] == [
        ("0", "BernoulliConv2d + ReLU"),
        ("2", "Conv2d + BatchNorm2d"),
    ]
    assert_adds_up(breakdown)


def test_a_layer_that_is_the_model(subject_of):
    breakdown = break_down(subject_of(BernoulliLinear(6, 3)), ROWS, 3, 0.01)
    assert [step.kind for step in breakdown.steps] == ["BernoulliLinear"]
    assert_adds_up(breakdown)


@pytest.mark.parametrize(
    ("estimator", "layer", "size", "most", "least"),
    [
        # 37,000 weights are drawn for 600 results; noise for 33,000 results is drawn with 32 weights.
        ("weight_sample", (64, 64, 3), 3, "pack", "epilogue"),
        ("flipout", (64, 64, 3), 3, "pack", "draw"),
        ("local_reparam", (1, 32, 1), 32, "epilogue", "pack"),
    ],
)
def test_noise_is_counted_where_it_is_drawn(subject_of, estimator, layer, size, most, least):
    channels, out_channels, kernel = layer
    model = GaussianConv2d(channels, out_channels, kernel, padding=kernel // 2, estimator=estimator)
    images = torch.rand(1, channels, size, size)
    (step,) = break_down(subject_of(model, "identity"), (images,), 8, 0.01).steps
    assert step.phases.multiply > 0
    assert getattr(step.phases, most) > getattr(step.phases, least)


def test_flops_are_two_for_each_multiply_add(subject_of):
    model = nn.Sequential(BernoulliConv2d(4, 6, 3, groups=2), nn.Flatten(), BernoulliLinear(96, 10), Dropout())
    assert layer_flops(subject_of(model), (torch.zeros(5, 4, 6, 6),)) == {
        "0": 2 * 5 * 6 * 16 * 2 * 9,
        "2": 2 * 5 * 960,
        "3": 0,
    }


def test_flops_count_both_convolutions_of_an_estimator(subject_of):
    model = nn.Sequential(*(GaussianConv2d(4, 4, 3, padding=1, estimator=estimator) for estimator in ESTIMATORS))
    one = 2 * 5 * 4 * 36 * 4 * 9
    flops = layer_flops(subject_of(model), (torch.zeros(5, 4, 6, 6),))
    assert flops == {"0": 2 * one, "1": one, "2": 2 * one}
