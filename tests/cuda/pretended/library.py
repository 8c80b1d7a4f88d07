"""Compiles and loads `device.cpp`: before torch is imported, which asks only once what there is."""

import ctypes
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest


def load():
    if "torch" in sys.modules:
        raise pytest.UsageError("torch was imported before this plugin, and has found no device")
    torch = Path(importlib.util.find_spec("torch").origin).parent
    libraries = [torch / "lib" / name for name in ("libc10.so", "libtorch_cpu.so")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "device.so"
        source = Path(__file__).with_name("device.cpp")
        flags = ["-std=c++20", "-fPIC", "-shared", f"-I{torch / 'include'}"]
        subprocess.run(["c++", *flags, source, *libraries, "-o", path], check=True)
        for library in (*libraries, path):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
