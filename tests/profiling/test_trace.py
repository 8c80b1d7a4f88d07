"""The Chrome trace: one range around a prediction, one for each step within it, and in these the operators."""

import gzip
import json

import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops.nn import BernoulliLinear, GaussianConv2d

QUICK = {"seconds": 0.01, "layers": False, "accuracy": False, "rivals": ()}


def events(file):
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt") as text:
        found = json.load(text)["traceEvents"]
    return [event for event in found if event.get("ph") == "X"]


def within(event, outer):
    return outer["ts"] <= event["ts"] and event["ts"] + event["dur"] <= outer["ts"] + outer["dur"]


def inside(found, outer):
    return {event["name"] for event in found if event is not outer and within(event, outer)}


@pytest.mark.parametrize("ending", ["json", "json.gz"])
def test_a_plan_has_a_range_for_every_step_and_operator(residual, tmp_path, ending):
    file = tmp_path / f"trace.{ending}"
    bo.profile(residual, torch.rand(2, 1, 8, 8), (1, 3), (1, 2), trace=file, **QUICK)
    found = events(file)
    (whole,) = [event for event in found if event["name"] == "bo.predict, batch 2, T = 3"]
    operators = {
        "stem: Conv2d": "aten::conv2d",
        "relu: relu": "aten::relu",
        "first: BernoulliConv2d + BatchNorm2d + relu": "bayesops::masked_conv_fused",
        "second: BernoulliConv2d + BatchNorm2d + add + relu": "bayesops::masked_conv_fused",
        "cumsum: cumsum": "aten::cumsum",
        "pool: relu + MaxPool2d": "bayesops::max_pool2d_activation",
        "flatten: flatten": "aten::flatten",
        "drop: Dropout": "bayesops::dropout",
        "head: BernoulliLinear": "bayesops::masked_conv",
    }
    for name, operator in operators.items():
        steps = [event for event in found if event["name"] == name and within(event, whole)]
        assert steps, name
        assert any(operator in inside(found, step) for step in steps), name
    assert "bayesops::add_predictive_moments" in inside(found, whole)


def test_layers_have_ranges_where_there_is_no_plan(untraceable, tmp_path):
    file = tmp_path / "trace.json"
    bo.profile(untraceable, torch.rand(2, 6), 3, trace=file, **QUICK)
    found = events(file)
    (whole,) = [event for event in found if event["name"] == "bo.predict, batch 2, T = 3"]
    assert {"first: BernoulliLinear", "second: BernoulliLinear"} <= inside(found, whole)


def test_every_family_of_operators_is_named(tmp_path):
    # Operators that the dispatcher knows are named by it, and none of ours goes past it.
    names = {"local_reparam": "bayesops::lrt_", "weight_sample": "bayesops::sampled_", "flipout": "bayesops::flipout_"}
    for estimator, name in names.items():
        model = nn.Sequential(GaussianConv2d(1, 2, 3, estimator=estimator), nn.Flatten(), BernoulliLinear(72, 3))
        bo.profile(model, torch.rand(1, 1, 8, 8), 2, trace=tmp_path / "trace.json", **QUICK)
        found = events(tmp_path / "trace.json")
        steps = [
            event for event in found if event["name"] == "0: GaussianConv2d"
        ]  # what is prepared for it has its name
        inner = [name for step in steps for name in inside(found, step)]
        assert any(called.startswith(name) for called in inner), inner


@pytest.mark.parametrize(
    ("trace", "error", "message"),
    [
        (
            "no/such/folder/trace.json",
            ValueError,
            "'trace' must be a file that can be written, got .*: there is no such",
        ),
        (".", ValueError, "'trace' must be .*: is a folder"),
        ("/proc/trace.json", ValueError, "'trace' must be .* cannot be written: "),
        (3, TypeError, "'trace' must be a path, got int"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_measured(trace, error, message):
    steps = []
    with pytest.raises(error, match=message):
        bo.profile(BernoulliLinear(6, 3), torch.rand(2, 6), 1, trace=trace, progress=lambda *step: steps.append(step))
    assert not steps


def test_a_trace_that_torch_did_not_write_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.profiler.profile, "export_chrome_trace", lambda self, path: None)
    with pytest.raises(OSError, match=r"the trace could not be written to .*trace\.json"):
        bo.profile(BernoulliLinear(6, 3), torch.rand(2, 6), 1, trace=tmp_path / "trace.json", **QUICK)
