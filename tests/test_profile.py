"""`bayesops.profiling`: its rivals are what they say, its numbers have the right meaning, it leaves no trace."""

import json

import pytest
import torch
from torch import nn

from bayesops import models, sampling
from bayesops.nn import (
    BernoulliConv1d,
    BernoulliConv2d,
    BernoulliConv3d,
    BernoulliLinear,
    Dropout,
    GaussianConv1d,
    GaussianConv2d,
    GaussianConv3d,
    GaussianLinear,
)
from bayesops.profiling import Spread, profile, timing, twins
from bayesops.profiling.layers import layer_flops

CPU = torch.device("cpu")
LAYERS = {
    "1d": (lambda **mask: BernoulliConv1d(4, 6, 3, stride=2, groups=2, **mask), (5, 4, 9)),
    "2d": (lambda **mask: BernoulliConv2d(4, 6, 3, padding="same", padding_mode="circular", **mask), (5, 4, 6, 6)),
    "2d-groups": (lambda **mask: BernoulliConv2d(4, 6, 3, dilation=2, groups=2, bias=False, **mask), (5, 4, 6, 6)),
    "3d": (lambda **mask: BernoulliConv3d(2, 3, 2, **mask), (5, 2, 3, 3, 3)),
    "linear": (lambda **mask: BernoulliLinear(7, 5, **mask), (5, 7)),
}
GAUSSIAN_LAYERS = {
    "1d": (lambda **kind: GaussianConv1d(4, 6, 3, stride=2, groups=2, **kind), (5, 4, 9)),
    "2d": (lambda **kind: GaussianConv2d(4, 6, 3, padding="same", padding_mode="circular", **kind), (5, 4, 6, 6)),
    "2d-groups": (lambda **kind: GaussianConv2d(4, 6, 3, dilation=2, groups=2, bias=False, **kind), (5, 4, 6, 6)),
    "3d": (lambda **kind: GaussianConv3d(2, 3, 2, **kind), (5, 2, 3, 3, 3)),
    "linear": (lambda **kind: GaussianLinear(7, 5, **kind), (5, 2, 7)),
}
ESTIMATORS = ["local_reparam", "weight_sample", "flipout"]


@pytest.mark.parametrize("name", LAYERS)
def test_twins_agree_with_a_layer_that_drops_nothing(name):
    make, shape = LAYERS[name]
    layer, input = make(p=0.0), torch.randn(shape)
    with sampling(0):
        expected = layer(input)
    torch.testing.assert_close(twins.deterministic(layer)(input), expected)
    torch.testing.assert_close(twins.naive(layer)(input), expected)


@pytest.mark.parametrize("granularity", ["weight", "kernel", "in_channel", "out_channel", "channel"])
@pytest.mark.parametrize("per_example", [False, True])
def test_the_naive_twin_has_the_layers_law(granularity, per_example):
    # Mean and variance of the output over masks; 3000 draws, so a relative error of 0.2 in the variance is 5 standard
    # errors even of the coarsest masks.
    layer = BernoulliConv2d(4, 2, 2, groups=2, p=0.3, granularity=granularity, per_example=per_example)
    with torch.no_grad():
        layer.weight.uniform_(0.5, 1)
        twin, input = twins.naive(layer), torch.rand(2, 4, 2, 2)
        ours = torch.stack([layer(input) for _ in range(3000)])
        theirs = torch.stack([twin(input) for _ in range(3000)])
    torch.testing.assert_close(theirs.mean(0), ours.mean(0), rtol=0.1, atol=0)
    torch.testing.assert_close(theirs.var(0), ours.var(0), rtol=0.2, atol=0)
    same = twin(input[:1].expand(20, -1, -1, -1))
    assert (same == same[0]).all() != per_example


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", GAUSSIAN_LAYERS)
def test_twins_agree_with_a_layer_that_has_no_spread(name, estimator):
    make, shape = GAUSSIAN_LAYERS[name]
    layer, input = make(estimator=estimator, rho_init=-30.0), torch.randn(shape)
    with sampling(0):
        expected = layer(input)
    torch.testing.assert_close(twins.deterministic(layer)(input), expected)
    torch.testing.assert_close(twins.naive(layer)(input), expected)


@pytest.mark.parametrize("variance", ["rho", "alpha"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_naive_gaussian_twin_has_the_layers_law(estimator, variance):
    # Over 8000 draws: the mean of each output, its variance, and that of sums over pixels and over examples, which tell
    # the estimators apart. Means lie within 6 standard errors of each other; a ratio of variances has a standard error
    # of at most 0.032 (a kurtosis below 5), so 0.2 is 6 of them. A false alarm is less likely than 1e-5 in all.
    draws = 8000
    layer = GaussianConv2d(2, 2, 2, estimator=estimator, variance=variance, rho_init=-1.0, log_alpha_init=0.0)
    twin, input = twins.naive(layer), torch.rand(3, 2, 3, 3)
    with torch.no_grad():
        theirs, ours = (torch.stack([draw(input) for _ in range(draws)]) for draw in (twin, layer))
    error = ((theirs.var(0) + ours.var(0)) / draws).sqrt()
    assert ((theirs.mean(0) - ours.mean(0)).abs() < 6 * error).all()
    for pooled in (lambda output: output, lambda output: output.sum((-2, -1)), lambda output: output.sum(1)):
        torch.testing.assert_close(pooled(theirs).var(0), pooled(ours).var(0), rtol=0.2, atol=0)


def test_twins_of_dropout():
    model = nn.Sequential(nn.Linear(8, 50), Dropout(0.5), Dropout(0.5, "channel")).eval()
    input = torch.randn(3, 8)
    torch.testing.assert_close(twins.deterministic(model)(input), model[0](input))
    assert (twins.naive(model)(input) == 0).float().mean() > 0.5
    assert isinstance(model[1], Dropout)


def test_a_layer_used_twice_has_one_twin():
    layer = BernoulliLinear(4, 4)
    twin = twins.deterministic(nn.Sequential(layer, nn.ReLU(), layer))
    assert twin[0] is twin[2]
    assert type(twin[0]) is nn.Linear


def test_flops_are_two_for_each_multiply_add():
    model = nn.Sequential(BernoulliConv2d(4, 6, 3, groups=2), nn.Flatten(), BernoulliLinear(96, 10), Dropout())
    plain = twins.deterministic(model)
    flops = layer_flops(model, plain, lambda: plain(torch.zeros(5, 4, 6, 6)))
    assert flops == {"0": 2 * 5 * 6 * 16 * 2 * 9, "2": 2 * 5 * 960, "3": 0}


def test_flops_count_both_convolutions_of_an_estimator():
    model = nn.Sequential(*(GaussianConv2d(4, 4, 3, padding=1, estimator=estimator) for estimator in ESTIMATORS))
    plain = twins.deterministic(model)
    one = 2 * 5 * 4 * 36 * 4 * 9
    flops = layer_flops(model, plain, lambda: plain(torch.zeros(5, 4, 6, 6)))
    assert flops == {"0": 2 * one, "1": one, "2": 2 * one}


def test_ratios_are_taken_pair_by_pair():
    assert timing.ratios([2.0, 4.0, 30.0], [1.0, 2.0, 3.0]) == Spread(2.0, 2.0, 6.0)
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_turns_are_taken_one_after_another():
    calls = []
    times = timing.take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, CPU, 1e-9)
    assert calls == ["a", "b"] * 4  # one round to warm up, and three
    assert {len(series) for series in times.values()} == {3}


@pytest.mark.skipif(timing.peak_memory(lambda: None, CPU) is None, reason="the system does not tell resident memory")
def test_peak_memory_is_that_of_the_call():
    size = 64 * 2**20
    assert 0.9 * size < timing.peak_memory(lambda: torch.ones(size // 4), CPU) < 1.2 * size
    assert timing.peak_memory(lambda: torch.ones(100), CPU) < 0.2 * size


@pytest.fixture(scope="module")
def result():
    return profile(models.build("lenet5"), models.example_input("lenet5"), (1, 4), (1, 2), seconds=0.02, p=0.1)


def test_a_profile_has_every_case_and_layer(result):
    assert result.model == "LeNet5"
    assert [(case.batch_size, case.num_samples) for case in result.cases] == [(1, 1), (1, 4), (2, 1), (2, 4)]
    assert result.layer_samples == 4
    for case in result.cases:
        assert case.rounds >= 3
        assert set(case.seconds) == {"deterministic", "naive", "ours"}
        assert all(seconds > 0 for seconds in case.seconds.values())
        assert case.of_peak > 0
        assert case.speedup.lower <= case.speedup.median <= case.speedup.upper
    assert set(result.layers) == {1, 2}
    for layers in result.layers.values():
        assert [layer.name for layer in layers] == ["0", "3", "7", "9", "11"]
        for layer in layers:
            shares = [getattr(layer.phases, name) for name in ("draw", "pack", "multiply", "epilogue", "stage")]
            assert sum(shares) == pytest.approx(1)
            assert min(shares) >= 0
            assert layer.busy > 0
    assert result.layers[2][0].flops == 2 * result.layers[1][0].flops


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_profile_of_a_gaussian_posterior(estimator):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))
    result = profile(model, torch.rand(2, 1, 8, 8), 5, posterior="gaussian", estimator=estimator, seconds=0.02)
    (layers,) = result.layers.values()
    assert [layer.kind for layer in layers] == ["GaussianConv2d", "GaussianLinear"]
    convolutions = 1 if estimator == "weight_sample" else 2
    assert layers[0].flops == convolutions * 2 * 2 * 4 * 36 * 9
    assert result.cases[0].flops == 5 * sum(layer.flops for layer in layers)
    assert all(layer.phases.multiply > 0 for layer in layers)


def test_a_profile_is_written_as_json(result):
    read = json.loads(json.dumps(result.to_dict()))
    assert read["machine"]["capability"] == torch.ops.bayesops.cpu_capability()
    assert read["cases"][0]["ours_ratio"].keys() == {"lower", "median", "upper"}


def test_a_profile_leaves_the_model_as_it_was(result):
    model = models.build("lenet5", bayesian=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    steps = []
    profile(model, torch.rand(3, 1, 28, 28), 2, seconds=0.01, progress=lambda *step: steps.append(step))
    assert model.training
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [done for done, *_ in steps] == [0, 1, 2]
    assert {total for _, total, _ in steps} == {2}
    torch.ops.bayesops.kernel_counters(True)
    with sampling(0):
        model(torch.rand(1, 1, 28, 28))
    assert torch.ops.bayesops.kernel_counters(False).sum() == 0  # they are off again


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_samples": 0}, ValueError, "num_samples"),
        ({"num_samples": ()}, ValueError, "num_samples"),
        ({"num_samples": (2.5,)}, ValueError, "num_samples"),
        ({"batch_sizes": (1, -1)}, ValueError, "batch_sizes"),
        ({"seconds": 0}, ValueError, "seconds"),
        ({"inputs": ()}, TypeError, "inputs"),
        ({"inputs": ("image",)}, TypeError, "inputs"),
        ({"inputs": torch.zeros(0, 4), "batch_sizes": (1,)}, ValueError, "inputs"),
        ({"model": nn.ReLU()}, ValueError, "model"),
        ({"model": nn.Linear(4, 4), "posterior": "laplace"}, ValueError, "posterior"),
        ({"model": nn.Linear(4, 4), "posterior": "gaussian", "estimator": "mean"}, ValueError, "estimator"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    arguments = {"model": BernoulliLinear(4, 4), "inputs": torch.zeros(1, 4), "num_samples": 1, **options}
    with pytest.raises(error, match=message):
        profile(**arguments)
