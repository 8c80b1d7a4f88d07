#!/usr/bin/env python3
"""Check that objects compiled for an instruction set keep to themselves.

A weak symbol (an inline function, a template of the standard library) that is compiled for AVX-512 and for the baseline
under the same name is merged by the linker, which may keep the AVX-512 copy: a crash on every older machine. So
whatever such an object defines for others must name its own namespace. And it may not run code at load, where nobody
has asked yet what the machine can do.

    python tools/check_isa_symbols.py BUILD_DIRECTORY ...
"""

from __future__ import annotations

import sys
from pathlib import Path

from symbols import defined_symbols, sections

ISAS = ("avx2", "avx512")
HARMLESS = ("DW.ref.",)  # a pointer for the unwinder: data, and the same in every object


def problems_of(path: Path, isa: str) -> list[str]:
    """Return one line for each rule that an object of an instruction set breaks."""
    namespace = f"8bayesops{len(isa)}{isa}"  # bayesops::ISA, as mangled names spell it
    problems = [
        f"{path}: {name} ({kind}) is visible outside bayesops::{isa}"
        for kind, name in defined_symbols(path)
        if namespace not in name and not name.startswith(HARMLESS)
    ]
    if any(name.startswith((".init_array", ".ctors")) for name in sections(path)):
        problems.append(f"{path}: runs code when the library is loaded (a static object with a constructor?)")
    return problems


def objects_of(build_dir: Path, isa: str) -> list[Path]:
    """Return the object files that CMake compiled for an instruction set."""
    return sorted(build_dir.glob(f"CMakeFiles/bayesops_kernels_{isa}.dir/**/*.o"))


def main(build_dirs: list[str]) -> int:
    objects = [(path, isa) for directory in build_dirs for isa in ISAS for path in objects_of(Path(directory), isa)]
    problems = [problem for path, isa in objects for problem in problems_of(path, isa)]
    print(*problems, f"{len(objects)} objects checked, {len(problems)} problems", sep="\n")
    return 1 if problems or not objects else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
