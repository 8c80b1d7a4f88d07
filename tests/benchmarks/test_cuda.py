"""A device as the benchmarks find it, made up: its clock, its ceilings, its facts, and why there may be none."""

import subprocess
from types import SimpleNamespace

import pytest
import torch

from bayesops import _library
from benchmarks import cuda, places, side_by_side, suite
from benchmarks.side_by_side import Rival
from benchmarks.suite import Case, Limit, Target

CEILINGS = cuda.Ceilings(4e12, {torch.float32: 4e14, torch.bfloat16: 8e14, torch.float16: 7e14}, 5e11, 2e11)


class FakeClock:
    """Calls return how long each of them takes; what was asked for is kept."""

    def __init__(self):
        self.asked = []

    def __call__(self, call, calls):
        self.asked.append(calls)
        return call()


def test_a_turn_is_as_many_calls_as_take_long_enough():
    fake = FakeClock()
    turn = cuda.DeviceClock(fake).turn(lambda: 1e-4)
    assert (turn.calls, turn.seconds) == (20, pytest.approx(cuda.TURN_SECONDS))
    assert fake.asked == [1, 1, 1, 500]  # compiled, warm, estimated; then for as long as clocks take to rise


def test_a_long_call_is_a_turn_of_its_own():
    turn = cuda.DeviceClock(FakeClock()).turn(lambda: 0.2)
    assert (turn.calls, turn.seconds) == (1, 0.2)


def test_both_sides_are_timed_by_the_device(fake_benchmark):
    fake = FakeClock()
    # The host's clock, which pytest-benchmark reads, knows nothing of the device: its times must not count.
    measured = side_by_side.measure(
        fake_benchmark([1e9] * 4), lambda: 1e-3, [Rival("rival", lambda: 3e-3)], pairs=4, clock=cuda.DeviceClock(fake)
    )
    (found,) = measured.comparisons
    assert (found.ours_seconds, found.rival_seconds, found.pairs) == (1e-3, 3e-3, 4)
    assert found.speed_up == pytest.approx(3.0)
    assert fake.asked[-8:] == [1, 2] * 4  # a rival's turn, then one of ours


def test_the_rate_of_draws_is_that_of_the_best_size():
    drawn = []

    def timed(call, calls):
        call()
        return drawn[-1] / (3.0 if drawn[-1] == cuda.DRAWS[1] else 2.0)

    assert cuda.draw_rate(drawn.append, timed) == 3.0
    assert set(drawn) == set(cuda.DRAWS)


def test_ceilings_are_the_best_of_several_rounds():
    slow = cuda.Ceilings(5e12, dict.fromkeys(cuda.FORMATS.values(), 1e14), 1e11, 1e11)
    assert cuda.Ceilings.best([slow, CEILINGS]) == cuda.Ceilings(5e12, CEILINGS.products, 5e11, 2e11)


def test_why_there_is_no_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert f"no CUDA device can be used by torch {torch.__version__}" in cuda.why_none()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(_library, "has_cuda", lambda: False)
    assert "without its CUDA library" in cuda.why_none()
    monkeypatch.setattr(_library, "has_cuda", lambda: True)
    assert cuda.why_none() is None


def test_facts(monkeypatch):
    properties = SimpleNamespace(name="NVIDIA H200", major=9, minor=0, total_memory=150e9)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(cuda, "driver", lambda: "580.1")
    facts = cuda.facts(CEILINGS)
    assert (facts["device"], facts["kind"], facts["capability"]) == ("NVIDIA H200", "nvidia-h200", "sm_90")
    assert (facts["memory_gbytes"], facts["driver"]) == (150.0, "580.1")
    assert facts["product_tflops"] == {"TF32": 400.0, "BF16": 800.0, "FP16": 700.0}
    assert (facts["copy_gbytes"], facts["word_gs"], facts["normal_gs"]) == (4000.0, 500.0, 200.0)


def test_the_driver_is_asked_for(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="580.159.04\n580.159.04\n"))
    assert cuda.driver() == "580.159.04"

    def missing(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", missing)
    assert cuda.driver() == "unknown"


@pytest.fixture
def on_device(monkeypatch):
    """A place with those ceilings, where calls take as long as they return."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(cuda, "use_best_settings", lambda: None)
    monkeypatch.setattr(cuda, "measure_ceilings", lambda: CEILINGS)
    monkeypatch.setattr(cuda, "facts", lambda ceilings: {"device": "Some GPU", "capability": "sm_90"})
    place = places.OnDevice()
    place.clock = cuda.DeviceClock(FakeClock())
    return place


def test_limits_are_divided_by_the_ceilings(on_device):
    assert on_device.device == torch.device("cuda:0")
    assert on_device.multiply_add_rate() == 4e14
    assert on_device.multiply_add_rate(torch.bfloat16) == 8e14
    assert (on_device.word_rate(), on_device.normal_rate()) == (5e11, 2e11)
    numbers = torch.empty(1000, dtype=torch.bfloat16)
    assert on_device.copy_seconds(numbers, numbers) == pytest.approx(4000 / 4e12)


def test_a_case_on_a_device(on_device, fake_benchmark):
    """Its own bar is judged whatever the instruction set, and a rival that fails is no reason to lose the row."""

    def fails():
        raise RuntimeError("cuDNN does not take it")

    case = Case(
        "group", "name", None, {}, lambda: 1e-3, [Rival("eager", lambda: 2e-3), Rival("grouped", fails)],
        Limit("peak", lambda: 5e-4), Target({"eager": 10.0}), on_device=Target({"eager": 1.5}, achieved=0.7),
    )  # fmt: skip
    row = suite.run(case, fake_benchmark([0.0] * 100), on_device, pairs=3)
    assert row["threads"] is None
    assert row["missing"] == {"grouped": "RuntimeError: cuDNN does not take it"}
    assert row["limit"]["achieved"] == pytest.approx(0.5)
    assert [(check["at_least"], check["passed"]) for check in row["checks"]] == [(1.5, True), (0.7, False)]


def test_a_case_without_a_bar_of_its_own_has_that_of_the_cpu_on_a_device():
    case = Case("group", "name", None, {}, lambda: None, [], target=Target({"eager": 1.5}))
    measured = side_by_side.Measured(0.1, [side_by_side.compare("eager", [1.0], [2.0])], {}, 0.0)
    (check,) = suite.row(case, measured, None, "sm_90")["checks"]
    assert (check["at_least"], check["passed"]) == (1.5, True)
