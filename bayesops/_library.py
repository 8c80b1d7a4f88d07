"""Loads the native libraries; importing this module registers the operators under ``torch.ops.bayesops``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

MINIMUM_TORCH = (2, 10)


def _load(name: str) -> Path:
    path = Path(__file__).with_name(name)
    if not path.is_file():
        raise ImportError(
            f"bayesops: the native library {path} is missing. In a source checkout, build it with `pip install -e .`; "
            "otherwise this installation is broken: reinstall bayesops."
        )
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        raise ImportError(f"bayesops: torch {torch.__version__} could not load {path}: {error}") from error
    return path


@cache
def load() -> tuple[Path, ...]:
    """Load the native libraries that this torch can use, once.

    Returns
    -------
    tuple of Path
        The libraries loaded: ``_C.so``, and ``_C_cuda.so`` where torch was built for CUDA and bayesops was, too.

    Raises
    ------
    ImportError
        If torch is too old, or a library is missing or does not load.
    """
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < MINIMUM_TORCH:
        raise ImportError(f"bayesops needs torch >= 2.10, and this is torch {torch.__version__}")
    loaded = [_load("_C.so")]
    if torch.version.cuda is not None and Path(__file__).with_name("_C_cuda.so").is_file():
        loaded.append(_load("_C_cuda.so"))
    return tuple(loaded)


load()
