"""Runs tests that take `device` with what the device runs, on the host: `make cuda-on-host`.

In place of the CPU's kernels, operators have those of the CUDA library, compiled for the host (CMakeLists.txt; the
environment variable ``BAYESOPS_CUDA_ON_HOST`` names it), and the composites that Python registers for CUDA. What is
left to a GPU are the launches themselves, float16, and the library's convolutions, which are the CPU's here.
"""

import os
from pathlib import Path

import pytest
import torch

from bayesops.ops._cuda_composites import COMPOSITES

LIBRARY = os.environ.get("BAYESOPS_CUDA_ON_HOST", "")


def replace_the_cpu() -> torch.library.Library:
    """Register for the CPU what runs on CUDA, as long as the library lives that is returned."""
    if not Path(LIBRARY).is_file():
        raise pytest.UsageError(f"BAYESOPS_CUDA_ON_HOST must name a library, not {LIBRARY!r}")
    torch.ops.load_library(LIBRARY)
    library = torch.library.Library("bayesops", "IMPL", "CPU")
    for name, function in COMPOSITES.items():
        library.impl(name, function, allow_override=True)
    return library


_library = replace_the_cpu()  # now: before the modules of tests are imported, some of which call operators


def pytest_report_header():
    return f"operators: those of CUDA, on the host ({LIBRARY})"


def pytest_collection_modifyitems(config, items):
    kept = [item for item in items if "device" in item.fixturenames and not item.get_closest_marker("cpu_only")]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept
