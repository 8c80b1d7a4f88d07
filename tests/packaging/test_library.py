"""Loading the native libraries, and what is said when that fails."""

import pytest
import torch

import bayesops as bo
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


@pytest.mark.skipif(_library.has_cuda(), reason="the CUDA library is here")
def test_operators_say_that_there_is_no_cuda_library():
    """Tensors of the CPU, dispatched as those of a CUDA device would be."""
    cuda = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
    seed, weight = torch.tensor(3), torch.ones(2, 2, 3, 3)
    with pytest.raises(RuntimeError, match=r"random_normal: a tensor is on a CUDA device.*BAYESOPS_CUDA=1 pip install"):
        torch.ops.bayesops.random_normal.default.redispatch(cuda, seed, [3], 0)
    # A composite is one for every device; here it goes on with the CPU's operators.
    options = (None, seed, None, 0.5, 0, True, False, 0, [1, 1], [1, 1, 1, 1], [1, 1], 1)
    output = torch.ops.bayesops.masked_conv.default.redispatch(cuda, torch.ones(1, 2, 4, 4), weight, *options)
    expected = bo.ops.masked_conv2d(torch.ones(1, 2, 4, 4), weight, p=0.5, seed=seed, padding=1)
    torch.testing.assert_close(output, expected)
