"""The build finds an installed torch, so that building in isolation need not download another."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def torch_location(monkeypatch):
    spec = importlib.util.spec_from_file_location("torch_location", ROOT / "tools/torch_location.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delenv("BAYESOPS_TORCH_DIR", raising=False)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    return module


def make_torch(folder, version):
    (folder / "include/torch/csrc/stable").mkdir(parents=True)
    (folder / "include/torch/csrc/stable/library.h").touch()
    (folder / "version.py").write_text(f"__version__ = '{version}'\n")
    return folder


@pytest.mark.parametrize(
    ("version", "found"), [("2.9.1", None), ("2.10.0", "2.10.0"), ("3.0.0a0+git1", "3.0.0a0+git1")]
)
def test_torch_must_have_the_stable_abi_of_2_10(torch_location, tmp_path, version, found):
    assert torch_location.torch_version(make_torch(tmp_path / "torch", version)) == found


def test_no_torch(torch_location, tmp_path):
    assert torch_location.torch_version(tmp_path) is None


def test_explicit_directory_is_the_only_candidate(torch_location, tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESOPS_TORCH_DIR", str(tmp_path))
    assert list(torch_location.candidates()) == [tmp_path]
    assert torch_location.find_torch() is None


def test_active_virtual_environment_is_searched(torch_location, tmp_path, monkeypatch):
    folder = make_torch(tmp_path / "lib/python3.99/site-packages/torch", "2.11.0")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    assert folder in torch_location.candidates()


def test_creator_of_the_build_environment_is_searched(torch_location, tmp_path, monkeypatch):
    """`python -m build` makes an environment that hides its own, but pyvenv.cfg names the interpreter."""
    folder = make_torch(tmp_path / "outer/lib/python3.11/site-packages/torch", "2.11.0")
    (tmp_path / "inner").mkdir()
    command = f"command = {tmp_path}/outer/bin/python -m venv --symlinks {tmp_path}/inner\n"
    (tmp_path / "inner/pyvenv.cfg").write_text(f"home = /nowhere\n{command}")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "inner"))
    assert folder in torch_location.candidates()
