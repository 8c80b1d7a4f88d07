"""Loading the native libraries, and what is said when that fails."""

import pytest
import torch

from bayesops import _library


def test_torch_without_the_stable_abi_of_2_10_is_refused(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(ImportError, match=r"needs torch >= 2\.10, and this is torch 2\.9\.1"):
        _library.load.__wrapped__()


@pytest.mark.parametrize("version", ["2.10.0", "2.13.0a0+git1234", "3.0.1+cu130"])
def test_torch_from_2_10_on_is_accepted(monkeypatch, version):
    monkeypatch.setattr(torch, "__version__", version)
    assert _library.load.__wrapped__() == _library.load()


def test_missing_library(monkeypatch, tmp_path):
    monkeypatch.setattr(_library, "__file__", str(tmp_path / "_library.py"))
    with pytest.raises(ImportError, match=r"_C\.so is missing"):
        _library.load.__wrapped__()


def test_library_that_does_not_load(monkeypatch, tmp_path):
    (tmp_path / "_C.so").write_text("not a library")
    monkeypatch.setattr(_library, "__file__", str(tmp_path / "_library.py"))
    with pytest.raises(ImportError, match=r"could not load .*_C\.so"):
        _library.load.__wrapped__()
