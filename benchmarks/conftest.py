"""The `side_by_side` fixture, and the facts of the machine in the JSON that pytest-benchmark writes."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import machine, suite

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no workers that would compete with what is measured

_machine: dict[str, Any] = {}
_suite: dict[str, Any] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="one pair a rival, to try the benchmarks out; not valid")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = set(Path(__file__).parent.glob("bench_*.py"))
    _suite["partial"] = not files <= {item.path for item in items}


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    if items:
        _suite["partial"] = True


@pytest.fixture(scope="session", autouse=True)
def _machine_facts(request: pytest.FixtureRequest) -> None:
    _machine.update(machine.facts(suite.THREADS))
    _suite["quick"] = request.config.getoption("quick")


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    torch.manual_seed(0)
    yield request.param
    torch.set_num_threads(before)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every case on one thread and on two, unless it names its own."""
    named = (mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "threads" in metafunc.fixturenames and not any("threads" in names for names in named):
        metafunc.parametrize("threads", suite.THREADS, indirect=True)


@pytest.fixture
def side_by_side(benchmark: Any, request: pytest.FixtureRequest) -> suite.SideBySide:
    def run(case: suite.Case) -> None:
        benchmark.group = case.group
        if benchmark.disabled:
            benchmark(case.ours)
            return
        quick = request.config.getoption("quick")
        benchmark.extra_info["row"] = suite.run(case, benchmark, pairs=1 if quick else None)

    return run


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    output_json |= {"machine": _machine, "suite": _suite}
