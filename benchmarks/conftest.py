"""The `side_by_side` fixture, where it runs, and the facts of that place in the JSON that pytest-benchmark writes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from benchmarks import cuda, places, suite

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no workers that would compete with what is measured

_machine: dict[str, Any] = {}
_suite: dict[str, Any] = {}
_unmeasured: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="one pair a rival, to try the benchmarks out; not valid")
    parser.addoption("--device", choices=["cpu", "cuda"], default="cpu", help="where to run: cpu (default) or cuda")
    parser.addoption(
        "--dry", action="store_true", help="with --device cuda: try its cases without a GPU, and measure nothing"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cpu_only: a case that is left out on a CUDA device")
    config.addinivalue_line("markers", "device_only: a case that is left out on the CPU")
    why_none = cuda.why_none() if _on_device(config) and not config.getoption("dry") else None
    if why_none is not None:
        raise pytest.UsageError(f"--device cuda: {why_none} (--dry tries the cases without a GPU)")


def _on_device(config: pytest.Config) -> bool:
    return bool(config.getoption("device") == "cuda")


@pytest.hookimpl(tryfirst=True)  # before any are deselected
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    files = set(Path(__file__).parent.glob("bench_*.py"))
    _suite["all_files"] = files <= {item.path for item in items}
    elsewhere = "cpu_only" if _on_device(config) else "device_only"
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(elsewhere)])
    items[:] = [item for item in items if not item.get_closest_marker(elsewhere)]
    _unmeasured.update(item.nodeid for item in items)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped or (report.when == "call" and report.passed):
        _unmeasured.discard(report.nodeid)


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> places.Place:
    """Where cases run, with its limits."""
    if not _on_device(request.config):
        return places.OnCPU()
    return places.Nowhere() if request.config.getoption("dry") else places.OnDevice()


@pytest.fixture
def device(place: places.Place) -> torch.device:
    """Where cases have their tensors."""
    return place.device


@pytest.fixture(scope="session", autouse=True)
def _machine_facts(request: pytest.FixtureRequest, place: places.Place) -> None:
    _machine.update(place.facts())
    _suite["quick"] = request.config.getoption("quick")


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int | None]:
    """The number of threads of a case; on a device there is none."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param or 1)
    torch.manual_seed(0)
    yield None if _on_device(request.config) else request.param
    torch.set_num_threads(before)
    if _on_device(request.config):  # every case compiles its own rivals, and begins with the memory free
        torch.compiler.reset()
        torch.cuda.empty_cache()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every case on one thread and on two, unless it names its own; on a device once."""
    named = (mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "threads" in metafunc.fixturenames and not any("threads" in names for names in named):
        metafunc.parametrize("threads", [None] if _on_device(metafunc.config) else places.THREADS, indirect=True)


@pytest.fixture
def side_by_side(benchmark: Any, request: pytest.FixtureRequest, place: places.Place) -> suite.SideBySide:
    def run(case: suite.Case) -> None:
        benchmark.group = case.group
        if request.config.getoption("dry"):
            with mock.patch.object(torch, "is_autocast_enabled", return_value=False):  # it knows no such device
                benchmark.pedantic(suite.try_out, args=(case,))
            return
        if benchmark.disabled:
            benchmark(case.ours)
            return
        quick = request.config.getoption("quick")
        benchmark.extra_info["row"] = suite.run(case, benchmark, place, pairs=1 if quick else None)

    return run


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    output_json |= {"machine": _machine, "suite": _suite | {"unmeasured": sorted(_unmeasured)}}
