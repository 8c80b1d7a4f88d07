"""Find an installed torch to build against, also from inside an isolated build environment.

The native libraries use only torch's stable ABI, so *any* torch from 2.10 on will do, whichever Python it belongs to:
only its headers and the names of its shared libraries are read, and it is never imported. That is why a build in
isolation need not download a second torch: pip and build hide the packages of the environment that called them, but the
files are still there, and this module knows where to look.
"""

from __future__ import annotations

import importlib.util
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

MINIMUM = (2, 10)


def torch_version(torch_dir: Path) -> str | None:
    """Return the version of the torch package in `torch_dir`, or None if there is none that we can build against."""
    try:
        text = (torch_dir / "version.py").read_text()
    except OSError:
        return None
    match = re.search(r"__version__ = '([^']+)'", text)
    if match is None or not (torch_dir / "include/torch/csrc/stable/library.h").is_file():
        return None
    numbers = tuple(int(part) for part in re.findall(r"\d+", match[1])[:2])
    return match[1] if numbers >= MINIMUM else None


def _site_directories(prefix: Path) -> Iterator[Path]:
    yield from prefix.glob("lib/python3*/site-packages")
    yield prefix / "Lib/site-packages"


def _creator_prefix() -> Path | None:
    """Return the prefix of the interpreter that made this virtual environment, as `python -m build` does."""
    try:
        config = Path(sys.prefix, "pyvenv.cfg").read_text()
    except OSError:
        return None
    match = re.search(r"^command = (.+?) -m venv", config, re.MULTILINE)
    return Path(match[1]).parent.parent if match else None


def candidates() -> Iterator[Path]:
    """Yield the places where a torch package may lie, the most explicit first."""
    if explicit := os.environ.get("BAYESOPS_TORCH_DIR"):
        yield Path(explicit)
        return
    spec = importlib.util.find_spec("torch")
    if spec is not None and spec.origin:
        yield Path(spec.origin).parent
    directories = [Path(sysconfig.get_path("platlib")), Path(sysconfig.get_path("purelib"))]
    if virtual_env := os.environ.get("VIRTUAL_ENV"):
        directories += _site_directories(Path(virtual_env))
    if creator := _creator_prefix():
        directories += _site_directories(creator)
    directories += [Path(path) for path in (*site.getsitepackages(), site.getusersitepackages())]
    for directory in directories:
        yield directory / "torch"


def find_torch() -> Path | None:
    """Return the directory of the first torch package that is new enough to build against, or None."""
    return next((path for path in candidates() if torch_version(path) is not None), None)
