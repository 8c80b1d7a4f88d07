#!/usr/bin/env python3
"""List the stable C functions that a torch package declares (how torch_2_10_shims.txt was made).

    pip download --no-deps --only-binary :all: --platform win_amd64 --python-version 3.11 torch==2.10.0
    unzip torch-2.10.0-*.whl 'torch/include/*' torch/version.py
    python tools/list_torch_shims.py torch > tools/torch_2_10_shims.txt

(The headers are the same on every platform; the Windows wheel is the smallest.)
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HEADERS = (
    "torch/csrc/stable/c/shim.h",
    "torch/csrc/inductor/aoti_torch/c/shim.h",
    "torch/csrc/inductor/aoti_torch/generated/c_shim_aten.h",
)
DECLARATION = re.compile(r"\b((?:aoti_)?torch_\w+)\((?!\) = delete)")


def main(torch_dir: str) -> None:
    include = Path(torch_dir, "include")
    version = re.search(r"__version__ = '([^']+)'", Path(torch_dir, "version.py").read_text())
    names = {name for header in HEADERS for name in DECLARATION.findall((include / header).read_text())}
    print(f"# Stable C functions of torch {version[1] if version else '?'}, by tools/list_torch_shims.py.")
    print(*sorted(names), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
