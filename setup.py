"""Build bayesops: setuptools packs the Python files, CMake and Ninja build the native libraries (see CMakeLists.txt).

Environment variables
    BAYESOPS_CUDA        0 or 1: leave out or demand the CUDA library; by default it is built where nvcc is found
    BAYESOPS_CUDA_ARCHS  GPU architectures, separated by semicolons (default "80;90"; PTX of the newest is added)
    BAYESOPS_TORCH_DIR   the torch package to build against, when another than the one found is wanted
    BAYESOPS_SANITIZE    sanitizers, as for -fsanitize= (for example "address,undefined")
    CUDACXX, CUDA_HOME   nvcc, and the toolkit that it is looked for in, when another than that on PATH is wanted
    MAX_JOBS             compilers at a time, as for torch's extensions; CMAKE_BUILD_PARALLEL_LEVEL goes before it
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))
from build_choices import find_nvcc, is_stale, parallel_jobs  # noqa: E402
from torch_location import find_torch, torch_version  # noqa: E402

STABLE_LIBRARIES = {"_C", "_C_cuda"}  # plain shared libraries: no Python ABI in their names


def find_tool(name: str) -> str:
    """Return CMake or Ninja: of this environment, active or not, else of PATH, where isolated builds have theirs."""
    path = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return path or sys.exit(f"bayesops is built with {name}, and none was found: pip install {name}")


def cuda_compiler() -> str | None:
    """Return the nvcc to build the CUDA library with, or None for a CPU build."""
    choice = os.environ.get("BAYESOPS_CUDA", "")
    if choice not in ("", "0", "1"):
        sys.exit(f"BAYESOPS_CUDA must be 0 or 1, got {choice!r}")
    nvcc = None if choice == "0" else find_nvcc()
    if choice == "1" and nvcc is None:
        sys.exit("BAYESOPS_CUDA=1, but no nvcc was found: put it on PATH or set CUDA_HOME")
    return nvcc


class CMakeBuild(build_ext):
    """Configure and build everything with CMake once, then hand each library to setuptools."""

    def get_ext_filename(self, fullname: str) -> str:
        if fullname.split(".")[-1] in STABLE_LIBRARIES:
            return fullname.replace(".", os.sep) + ".so"
        return super().get_ext_filename(fullname)

    def build_extensions(self) -> None:
        torch_dir = find_torch()
        if torch_dir is None:
            sys.exit(
                "bayesops is built against torch >= 2.10, and none was found: install it or set BAYESOPS_TORCH_DIR"
            )
        nvcc = cuda_compiler()
        print(
            f"bayesops: building against torch {torch_version(torch_dir)}; "
            + (f"CUDA by {nvcc}" if nvcc else "CPU only")
        )
        build_dir = self.cmake_build(torch_dir, nvcc)
        if nvcc is None:  # an earlier build may have left one
            for package in (Path(self.build_lib), *([ROOT] if self.editable_mode else [])):
                (package / "bayesops/_C_cuda.so").unlink(missing_ok=True)
        for extension in self.extensions:
            built = build_dir / "lib" / Path(self.get_ext_filename(extension.name)).name
            target = Path(self.get_ext_fullpath(extension.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            # A new file, not a new content: a running process may have the old one mapped.
            target.unlink(missing_ok=True)
            shutil.copy2(built, target)

    def cmake_build(self, torch_dir: Path, nvcc: str | None) -> Path:
        import pybind11

        sanitize = os.environ.get("BAYESOPS_SANITIZE", "")
        flavour = f"{sys.implementation.cache_tag}-{'cuda' if nvcc else 'cpu'}{'-sanitize' if sanitize else ''}"
        # A fixed place, not setuptools' build_temp, which is new for each editable build: builds stay incremental.
        build_dir = ROOT / "build" / f"cmake-{flavour}"
        options = {
            "CMAKE_BUILD_TYPE": "RelWithDebInfo" if sanitize else "Release",
            "CMAKE_MAKE_PROGRAM": find_tool("ninja"),
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
            "BAYESOPS_VERSION": self.distribution.get_version(),
            "BAYESOPS_TORCH_DIR": torch_dir,
            "BAYESOPS_TORCH_VERSION": torch_version(torch_dir),
            "BAYESOPS_CUDA": "ON" if nvcc else "OFF",
            "BAYESOPS_SANITIZE": sanitize,
        }
        if nvcc:
            options["CMAKE_CUDA_COMPILER"] = nvcc
            options["BAYESOPS_CUDA_ARCHS"] = os.environ.get("BAYESOPS_CUDA_ARCHS", "80;90")
        cmake = find_tool("cmake")
        configure = [cmake, "-S", str(ROOT), "-B", str(build_dir), "-G", "Ninja"]
        if is_stale(build_dir, ROOT, nvcc):
            configure.append("--fresh")
        subprocess.run(configure + [f"-D{name}={value}" for name, value in options.items()], check=True)
        subprocess.run([cmake, "--build", str(build_dir), "--parallel", parallel_jobs()], check=True)
        return build_dir


names = ["bayesops._C", "bayesops._native"] + (["bayesops._C_cuda"] if cuda_compiler() else [])
setup(ext_modules=[Extension(name, sources=[]) for name in names], cmdclass={"build_ext": CMakeBuild})
