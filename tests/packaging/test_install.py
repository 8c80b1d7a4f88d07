"""What every installation must be able to do, from a checkout or from a wheel."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import torch

import bayesops
from bayesops import _library, _native


def test_version_is_that_of_the_native_libraries():
    version = importlib.metadata.version("bayesops")
    assert bayesops.__version__ == version
    assert _native.build_info()["version"] == version


def test_type_hints_are_shipped():
    assert Path(bayesops.__file__).with_name("py.typed").is_file()
    stub = Path(bayesops.__file__).with_name("_native.pyi").read_text()
    compiled = {name for name in vars(_native) if not name.startswith("__")}
    assert set(re.findall(r"^def (\w+)", stub, re.MULTILINE)) == compiled


def test_operators_are_loaded():
    mask = torch.ops.bayesops.random_bernoulli(torch.tensor(0), [4, 3], 0.5, 0)
    assert mask.shape == (4, 3)
    assert mask.dtype == torch.bool


def test_cuda_library_is_loaded_by_cuda_torch_only():
    loaded = [path.name for path in _library.load()]
    if torch.version.cuda is None:
        assert loaded == ["_C.so"]
    else:
        assert loaded[0] == "_C.so"


def test_command_line_info():
    command = [Path(sys.executable).with_name("bayesops"), "info"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert torch.__version__ in output
