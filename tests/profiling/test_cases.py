"""`bayesops.profile`: the ways to T draws, why some are left out, errors, and that it leaves no trace."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import bayesops as bo
from bayesops import models, sampling
from bayesops.nn import BernoulliConv2d, BernoulliLinear, Dropout, GaussianLinear
from bayesops.profiling import rivals
from bayesops.profiling.twins.peers import PEERS

ROWS = torch.rand(2, 6)
QUICK = {"seconds": 0.01, "layers": False, "accuracy": False}


@pytest.fixture(scope="module")
def lenet():
    model, images = models.build("lenet5"), models.example_input("lenet5")
    return bo.profile(model, images, (4, 1, 4), (2, 1), seconds=0.02, p=0.1)


def test_every_case_in_order(lenet):
    assert lenet.model == "LeNet5"
    assert lenet.posterior == "converted to bernoulli, p = 0.1, granularity = weight"
    assert [(case.batch_size, case.num_samples) for case in lenet.cases] == [(1, 1), (1, 4), (2, 1), (2, 4)]
    for case in lenet.cases:
        assert case.rounds >= 3
        assert set(case.ways) == {"deterministic", "naive", "vmap", "ours", "ours_vmap", "ours_loop"}
        assert set(case.left_out) == {"repeated", *PEERS}
        assert case.plan.startswith("plan: ")
        assert case.compiled is None
        for way in case.ways.values():
            assert 0 < way.seconds.lower <= way.seconds.median <= way.seconds.upper
            assert way.ratio.lower <= way.ratio.median <= way.ratio.upper
        assert (case.ways["deterministic"].ratio.lower, case.ways["deterministic"].ratio.upper) == (1, 1)
        assert (case.ways["ours"].speedup.lower, case.ways["ours"].speedup.upper) == (1, 1)
        assert case.best_rival in ("naive", "vmap")
        assert case.of_peak == case.flops / case.ways["ours"].seconds.median / lenet.machine.peak_flops
    assert [case.flops for case in lenet.cases] == [lenet.cases[0].flops * times for times in (1, 4, 2, 8)]
    assert {case.activation_bytes for case in lenet.cases} == {4 * 6 * 28 * 28, 2 * 4 * 6 * 28 * 28}


def test_steps_of_every_batch(lenet):
    assert list(lenet.layers) == list(lenet.accuracy) == [1, 2]
    for breakdown in lenet.layers.values():
        assert breakdown.num_samples == 4
        assert [step.name for step in breakdown.steps if step.bayesian] == ["0", "3", "7", "9", "11"]
        for step in breakdown.steps:
            peak = lenet.machine.peak_flops
            assert step.of_peak == (step.flops / step.seconds / peak if step.bayesian else None)
    of_case = {case.batch_size: case.flops for case in lenet.cases if case.num_samples == 1}
    assert {size: sum(step.flops for step in lenet.layers[size].steps) for size in (1, 2)} == of_case


def test_examples_are_repeated_to_fill_a_batch():
    seen = []
    model = nn.Sequential(BernoulliLinear(6, 3))
    model.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].clone()))
    rows = torch.arange(12.0).reshape(2, 6)
    bo.profile(model, rows, 1, (1, 5), rivals=(), **QUICK)
    batches = {len(batch): batch for batch in seen}
    assert torch.equal(batches[1], rows[:1])
    assert torch.equal(batches[5], rows[[0, 1, 0, 1, 0]])


def test_a_repeated_batch_makes_draws_where_each_example_has_its_own():
    own = nn.Sequential(BernoulliLinear(6, 4, per_example=True), nn.ReLU(), Dropout(0.3), nn.Linear(4, 3))
    (case,) = bo.profile(own, ROWS, 3, rivals=("repeated",), **QUICK).cases
    assert set(case.ways) == {"deterministic", "naive", "repeated", "ours"}
    assert case.left_out == {}
    shared = nn.Sequential(GaussianLinear(6, 4), nn.ReLU(), BernoulliLinear(4, 3))
    (case,) = bo.profile(shared, ROWS, 3, rivals=("repeated",), **QUICK).cases
    assert case.left_out == {
        "repeated": "a larger batch makes no more draws: all its examples meet one draw of 2",
    }


def test_what_would_not_fit_into_memory_is_left_out(monkeypatch):
    monkeypatch.setattr(rivals, "free_memory", lambda device: 2**10)
    model = BernoulliLinear(6, 512, per_example=True)
    (case,) = bo.profile(model, ROWS, 100, rivals=("repeated", "vmap"), **QUICK).cases
    assert set(case.left_out) == {"repeated", "vmap"}
    assert "all draws at once would hold about" in case.left_out["vmap"]


def test_a_rival_that_fails_is_left_out_with_its_reason(branching):
    with pytest.warns(UserWarning, match="one after another"):
        (case,) = bo.profile(branching, ROWS, 2, rivals=("vmap", "paths"), **QUICK).cases
    assert set(case.ways) == {"deterministic", "naive", "ours"}
    assert set(case.left_out) == {"vmap", "ours_plan", "ours_vmap"}
    assert all(case.left_out.values())
    assert case.plan.startswith("loop")


def test_peers_are_measured_where_they_have_the_layers():
    pytest.importorskip("torchbnn")
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    options = {"posterior": "gaussian", "rivals": ("peers",), **QUICK}
    (case,) = bo.profile(model, ROWS, 2, estimator="weight_sample", **options).cases
    assert "torchbnn" in case.ways
    (case,) = bo.profile(model, ROWS, 2, estimator="flipout", **options).cases
    assert case.left_out["torchbnn"] == "has no Linear by flipout"


@dataclass
class Answer:
    logits: torch.Tensor
    temperature: float = 1.0


def first_of_one_call(outputs):
    assert outputs[0].dim() == 2, "what several calls return, stacked"
    return outputs[0]


@pytest.mark.parametrize(
    ("returns", "output"),
    [
        (lambda hidden: (hidden, None), 0),
        (lambda hidden: (hidden, None), first_of_one_call),
        (lambda hidden: {"logits": hidden, "number": 3}, "logits"),
        (Answer, "logits"),
    ],
    ids=["beside None", "by a function", "beside a number", "of a dataclass"],
)
def test_what_a_model_returns_besides_is_left_alone(returns, output):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = BernoulliLinear(6, 3, per_example=True)

        def forward(self, rows):
            return returns(self.layer(rows))

    result = bo.profile(Wrapped(), ROWS, 3, output=output, seconds=0.01, rivals=("repeated", "vmap"))
    assert set(result.cases[0].ways) == {"deterministic", "naive", "repeated", "vmap", "ours"}
    assert result.cases[0].left_out == {}
    assert result.accuracy[2].deviation_max > 0


@pytest.mark.parametrize("link", ["identity", "gaussian"])
def test_several_inputs_and_outputs(link):
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.log_variance = BernoulliLinear(6, 1), BernoulliLinear(4, 1)

        def forward(self, rows, others):
            return {"both": (self.mean(rows), self.log_variance(others)), "sum": self.mean(rows)}

    output = "both" if link == "gaussian" else lambda outputs: outputs["sum"]
    result = bo.profile(
        Heads(), (ROWS, torch.rand(2, 4)), 3, link=link, output=output, seconds=0.01, rivals=("vmap", "paths")
    )  # fmt: skip
    assert set(result.cases[0].ways) >= {"deterministic", "naive", "vmap", "ours"}
    assert [step.name for step in result.layers[2].steps if step.bayesian][:2] == ["mean", "log_variance"]
    assert result.accuracy[2].table[0].entropy_error is None


@pytest.mark.slow
def test_the_quickest_way_in_torch_is_compiled():
    model = nn.Sequential(BernoulliConv2d(1, 2, 3), nn.Flatten(), BernoulliLinear(72, 3))
    result = bo.profile(model, torch.rand(1, 1, 8, 8), (2, 3), rivals=("vmap",), compile=True, **QUICK)
    for case in result.cases:
        assert case.compiled in ("naive", "vmap")
        assert "compiled" in case.ways, case.left_out
    assert f"torch.compile was given: {rivals.LABELS[result.cases[-1].compiled]}" in result.to_text()


def test_a_model_with_bayesian_layers_is_not_converted():
    model = nn.Sequential(nn.Linear(6, 4), Dropout(0.1), GaussianLinear(4, 3))
    result = bo.profile(model, ROWS, 2, rivals=(), posterior="gaussian", seconds=0.01, accuracy=False)
    assert result.posterior == "the model's own, Dropout and GaussianLinear"
    assert [step.kind for step in result.layers[2].steps] == ["Linear", "Dropout", "GaussianLinear"]


def test_it_leaves_the_model_as_it_was():
    model = models.build("lenet5", bayesian=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    steps = []
    bo.profile(model, torch.rand(3, 1, 28, 28), 2, seconds=0.01, progress=lambda *step: steps.append(step))
    assert model.training
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    done = [done for done, *_ in steps]
    assert done == sorted(done)
    assert (done[0], steps[-1]) == (0, (3, 3, "done"))  # a case, its layers, its accuracy
    assert {total for _, total, _ in steps} == {3}
    torch.ops.bayesops.kernel_counters(True)
    with sampling(0):
        model(torch.rand(1, 1, 28, 28))
    assert torch.ops.bayesops.kernel_counters(False).sum() == 0  # they are off again


@pytest.mark.parametrize("number", [2, np.int64(2), np.array(2), np.array([2]), torch.tensor(2)], ids=repr)
def test_one_number_may_come_alone_and_from_numpy(number):
    options = QUICK | {"accuracy": True, "targets": np.float32(0.01)}
    result = bo.profile(BernoulliLinear(6, 3), ROWS, number, number, rivals=(), **options)
    assert [(case.num_samples, case.batch_size) for case in result.cases] == [(2, 2)]
    assert json.loads(result.to_json())["accuracy"]["2"]["needed"][0]["target"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_samples": 0}, ValueError, "num_samples"),
        ({"num_samples": ()}, ValueError, "num_samples"),
        ({"num_samples": (2.5,)}, TypeError, "num_samples"),
        ({"batch_sizes": (1, -1)}, ValueError, "batch_sizes"),
        ({"batch_sizes": ()}, ValueError, "batch_sizes"),
        ({"seconds": 0}, ValueError, "seconds"),
        ({"seconds": float("nan")}, ValueError, "seconds"),
        ({"targets": (0.01, 0)}, ValueError, "targets"),
        ({"seconds": float("inf")}, ValueError, "'seconds' must be finite and above 0"),
        ({"seconds": "a"}, TypeError, "'seconds' must be a number, got str"),
        ({"targets": ("a",)}, TypeError, "'targets' must be a number, got str"),
        ({"targets": None}, TypeError, "'targets' must be a number, got NoneType"),
        ({"batch_sizes": 2.5}, TypeError, "'batch_sizes' must be an int of at least 1, got 2.5"),
        ({"link": "probit"}, ValueError, "link"),
        ({"rivals": ("jax",)}, ValueError, "rivals"),
        ({"rivals": "vmap"}, ValueError, "rivals"),
        ({"rivals": None}, TypeError, "'rivals' must be a collection of .*, got NoneType"),
        ({"rivals": ([],)}, ValueError, "'rivals' must be a collection of "),
        ({"inputs": ()}, TypeError, "inputs"),
        ({"inputs": None}, TypeError, "'inputs' must be a tensor or a tuple of tensors, got NoneType"),
        ({"inputs": 5}, TypeError, "'inputs' must be a tensor or a tuple of tensors, got int"),
        ({"inputs": torch.tensor(3.0)}, ValueError, r"'inputs' must be of .*, the batch first, got shape \(\)"),
        ({"inputs": ("image",)}, TypeError, "inputs"),
        ({"inputs": torch.zeros(0, 4), "batch_sizes": (1,)}, ValueError, "inputs"),
        ({"inputs": torch.zeros(0, 4)}, ValueError, "inputs"),
        ({"model": nn.ReLU()}, ValueError, "model"),
        ({"model": torch.relu}, TypeError, "model"),
        ({"model": nn.Linear(4, 4), "posterior": "laplace"}, ValueError, "posterior"),
        ({"model": nn.Linear(4, 4), "posterior": "gaussian", "estimator": "mean"}, ValueError, "estimator"),
        (
            {"posterior": "gaussian", "p": 0.9},
            TypeError,
            "'p' is no option of posterior='gaussian', which has est",
        ),
        ({"estimator": "flipout"}, TypeError, "'estimator' is no option of posterior='bernoulli', which has p, gran"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    arguments = {"model": BernoulliLinear(4, 4), "inputs": torch.zeros(1, 4), "num_samples": 1, **options}
    with pytest.raises(error, match=message):
        bo.profile(**arguments)
