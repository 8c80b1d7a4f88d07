"""What a build takes from its environment."""

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def choices(monkeypatch):
    spec = importlib.util.spec_from_file_location("build_choices", ROOT / "tools/build_choices.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("CUDACXX", "CUDA_HOME", "CUDA_PATH", "CXX", "CMAKE_BUILD_PARALLEL_LEVEL", "MAX_JOBS"):
        monkeypatch.delenv(name, raising=False)
    return module


def make_program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_nvcc_that_is_named_goes_first(choices, tmp_path, monkeypatch):
    of_home, named = make_program(tmp_path / "home/bin/nvcc"), make_program(tmp_path / "named")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "home"))
    assert choices.find_nvcc() == str(of_home)
    monkeypatch.setenv("CUDACXX", str(named))
    assert choices.find_nvcc() == str(named)


def test_nvcc_that_is_named_must_be_there(choices, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_HOME", str(make_program(tmp_path / "home/bin/nvcc").parents[1]))
    monkeypatch.setenv("CUDACXX", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit, match=r"CUDACXX is '.*nowhere', and there is no such program"):
        choices.find_nvcc()


def test_jobs(choices, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5, 7})
        assert choices.parallel_jobs() == "3"
    else:
        assert choices.parallel_jobs() == "64"
    monkeypatch.setenv("MAX_JOBS", "5")
    assert choices.parallel_jobs() == "5"
    monkeypatch.setenv("CMAKE_BUILD_PARALLEL_LEVEL", "2")
    assert choices.parallel_jobs() == "2"


def test_build_folder_of_another_checkout_or_compiler_is_stale(choices, tmp_path, monkeypatch):
    source, build = tmp_path / "source", tmp_path / "source/build"
    build.mkdir(parents=True)
    assert not choices.is_stale(build, source, None)
    compiler, other = make_program(tmp_path / "nvcc"), make_program(tmp_path / "other/nvcc")
    (build / "CMakeCache.txt").write_text(
        f"CMAKE_CUDA_COMPILER:STRING={compiler}\nCMAKE_CXX_COMPILER:FILEPATH={compiler}\n"
        f"CMAKE_HOME_DIRECTORY:INTERNAL={source}\nCMAKE_CACHEFILE_DIR:INTERNAL={build}\n"
    )
    assert not choices.is_stale(build, source, None)
    assert not choices.is_stale(build, source, str(compiler))
    assert choices.is_stale(build, source, str(other))
    assert choices.is_stale(build, tmp_path / "moved", str(compiler))
    monkeypatch.setenv("CXX", str(compiler))
    assert not choices.is_stale(build, source, None)
    monkeypatch.setenv("CXX", str(other))
    assert choices.is_stale(build, source, None)
