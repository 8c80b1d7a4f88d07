#!/usr/bin/env python3
"""Check that libraries need nothing of torch but the stable C functions of torch 2.10, and nothing of this machine.

    python tools/check_stable_abi.py bayesops/_C.so bayesops/_C_cuda.so

The functions are listed in tools/torch_2_10_shims.txt, which tools/list_torch_shims.py writes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from symbols import dynamic_entries, undefined_symbols

SHIMS = frozenset(
    line for line in Path(__file__).with_name("torch_2_10_shims.txt").read_text().split("\n") if line and line[0] != "#"
)
TOOLCHAIN = ("_ITM_", "__gmon_start__", "__cxa_finalize")  # weak, offered by whoever runs the library
LIBRARIES = (
    "libtorch.so",
    "libtorch_cpu.so",
    "libstdc++.so",
    "libgcc_s.so",
    "libm.so",
    "libc.so",
    "libdl.so",
    "librt.so",
)
LIBRARIES += ("libpthread.so", "ld-linux")


def problems_of(path: Path) -> list[str]:
    """Return one line for each rule that a library breaks."""
    problems = [
        f"{path}: {name} is not a stable function of torch 2.10"
        for _, name in undefined_symbols(path)
        if "@" not in name and name not in SHIMS and not name.startswith(TOOLCHAIN)  # system symbols carry a version
    ]
    needed = dynamic_entries(path, "NEEDED")
    problems += [f"{path}: needs {name}" for name in needed if not name.startswith(LIBRARIES)]
    paths = dynamic_entries(path, "RPATH") + dynamic_entries(path, "RUNPATH")
    problems += [f"{path}: looks for libraries in {name}" for name in paths]
    return problems


def main(paths: list[str]) -> int:
    problems = [problem for path in paths for problem in problems_of(Path(path))]
    print(*problems, f"{len(paths)} libraries checked, {len(problems)} problems", sep="\n")
    return 1 if problems or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
