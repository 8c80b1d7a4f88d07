"""What a build takes from its environment: the CUDA compiler, how many jobs run, and whether a build folder will do."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path


def find_nvcc() -> str | None:
    """Return the nvcc to build with, if there is one; what CUDACXX names must be there."""
    named = os.environ.get("CUDACXX")
    if named and shutil.which(named) is None:
        sys.exit(f"CUDACXX is {named!r}, and there is no such program")
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    candidates = [named, *(f"{home}/bin/nvcc" for home in homes), "nvcc", "/usr/local/cuda/bin/nvcc"]
    return next((path for name in candidates if name and (path := shutil.which(name))), None)


def parallel_jobs() -> str:
    """Return how many jobs run at a time: as CMake or torch's extensions are told, or the processors we may use."""
    for name in ("CMAKE_BUILD_PARALLEL_LEVEL", "MAX_JOBS"):
        jobs = os.environ.get(name, "")
        if jobs.isdigit() and int(jobs) > 0:
            return jobs
    if hasattr(os, "sched_getaffinity"):  # a container may have fewer than the machine
        return str(len(os.sched_getaffinity(0)))
    return str(os.cpu_count() or 1)


def is_stale(build_dir: Path, source_dir: Path, nvcc: str | None) -> bool:
    """Whether CMake configured `build_dir` for another checkout or compiler, which it would keep to, or refuse."""
    try:
        text = (build_dir / "CMakeCache.txt").read_text()
    except OSError:
        return False
    entries = dict(re.findall(r"^(\w+):\w+=(.*)$", text, re.MULTILINE))
    wanted = {"CMAKE_HOME_DIRECTORY": str(source_dir), "CMAKE_CACHEFILE_DIR": str(build_dir)}
    compiler = os.environ.get("CXX", "").split(" ")[0]
    if compiler:
        wanted["CMAKE_CXX_COMPILER"] = shutil.which(compiler) or compiler
    if nvcc:
        wanted["CMAKE_CUDA_COMPILER"] = nvcc
    return _differ(entries, wanted)


def _differ(entries: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return any(
        name in entries and os.path.realpath(entries[name]) != os.path.realpath(path) for name, path in wanted.items()
    )
