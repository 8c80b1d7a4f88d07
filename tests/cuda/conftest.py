"""Compiles what the device runs by the host's compiler: that needs neither nvcc nor a GPU."""

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / "csrc"
# The flags of cmake/Kernels.cmake that decide about bits.
FLAGS = ["-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-fno-math-errno", "-ffp-contract=off"]


def compiler():
    """The C++ compiler that builds would use, as a command, or None."""
    commands = [shlex.split(os.environ["CXX"])] if os.environ.get("CXX") else [["c++"], ["g++"]]
    return next((command for command in commands if shutil.which(command[0])), None)


@pytest.fixture(scope="session")
def compile_library(tmp_path_factory):
    """Compile a source of this folder; its functions have the arguments that are given by name, and no result."""

    def compile_library(source, signatures):
        if not (CSRC / "kernels" / "flat").is_dir():
            pytest.skip("the native sources (csrc) are not beside the tests")
        if compiler() is None:
            pytest.skip("no C++ compiler: neither CXX, c++ nor g++ is a program here")
        path = (tmp_path_factory.mktemp("compiled") / source).with_suffix(".so")
        command = [*compiler(), *FLAGS, f"-I{CSRC}", str(HERE / source), "-o", str(path)]
        compiled = subprocess.run(command, capture_output=True, text=True, check=False)
        if compiled.returncode != 0:
            pytest.fail(compiled.stderr)
        library = ctypes.CDLL(str(path))
        for name, arguments in signatures.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None
        return library

    return compile_library
