"""Loading the native libraries, and what is said when that fails."""

import subprocess
import sys

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


SAYS_SO = """
import torch, bayesops as bo
from bayesops import _library
_library.explain_missing_cuda()
# Tensors of the CPU, dispatched as those of a CUDA device would be.
cuda = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
options = (0.5, 0, True, False, 0, [1, 1], [1, 1, 1, 1], [1, 1], 1)
image, weight, seed = torch.ones(1, 2, 4, 4), torch.ones(2, 2, 3, 3), torch.tensor(3)
# A composite is one for every device; here it goes on with the CPU's operators.
output = torch.ops.bayesops.masked_conv.default.redispatch(cuda, image, weight, None, seed, None, *options)
torch.testing.assert_close(output, bo.ops.masked_conv2d(image, weight, p=0.5, seed=seed, padding=1))
torch.ops.bayesops.random_normal.default.redispatch(cuda, seed, [3], 0)
"""


@pytest.mark.skipif(_library.has_cuda(), reason="the CUDA library is here")
def test_operators_say_that_there_is_no_cuda_library():
    """In a process of its own: what is registered stays."""
    run = subprocess.run([sys.executable, "-c", SAYS_SO], capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: random_normal: a tensor is on a CUDA device")
    assert "BAYESOPS_CUDA=1 pip install" in last


def test_cuda_is_lacking_only_where_torch_has_it(monkeypatch):
    monkeypatch.setattr(_library, "has_cuda", lambda: False)
    for version, lacks in ((None, False), ("13.0", True)):
        monkeypatch.setattr(torch.version, "cuda", version)
        assert _library.lacks_cuda() == lacks
    monkeypatch.setattr(_library, "has_cuda", lambda: True)
    assert not _library.lacks_cuda()
