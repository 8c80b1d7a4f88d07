"""Runs tests that take `device` with what the device runs, on the host: `make cuda-on-host`.

In place of the CPU's kernels, operators have those of the CUDA library, compiled for the host (CMakeLists.txt; the
environment variable ``BAYESOPS_CUDA_ON_HOST`` names it), and the composites that Python registers for CUDA. What is
left to a GPU are the launches themselves, float16, and the library's convolutions, which are the CPU's here.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

LIBRARY = os.environ.get("BAYESOPS_CUDA_ON_HOST", "")


def import_bayesops() -> dict[str, Callable[..., Any]]:
    """Import it, and return the composites that it registers for CUDA by their names."""
    composites: dict[str, Callable[..., Any]] = {}
    implement = torch.library.impl

    def watched(name, types, function=None, **options):
        if types == "cuda":
            composites[name.removeprefix("bayesops::")] = function
        return implement(name, types, function, **options)

    torch.library.impl = watched
    try:
        import bayesops  # noqa: F401
    finally:
        torch.library.impl = implement
    return composites


def replace_the_cpu() -> torch.library.Library:
    """Register for the CPU what runs on CUDA, as long as the library lives that is returned."""
    if not Path(LIBRARY).is_file():
        raise pytest.UsageError(f"BAYESOPS_CUDA_ON_HOST must name a library, not {LIBRARY!r}")
    if "bayesops" in sys.modules:
        raise pytest.UsageError("bayesops was imported before this plugin, which has missed what it registers for CUDA")
    composites = import_bayesops()
    torch.ops.load_library(LIBRARY)
    library = torch.library.Library("bayesops", "IMPL", "CPU")
    for name, function in composites.items():
        library.impl(name, function, allow_override=True)
    return library


_library = replace_the_cpu()  # now: before pytest reads the conftest.py that import bayesops


def pytest_report_header():
    return f"operators: those of CUDA, on the host ({LIBRARY})"


def pytest_collection_modifyitems(config, items):
    kept = [item for item in items if "device" in item.fixturenames and not item.get_closest_marker("cpu_only")]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept
