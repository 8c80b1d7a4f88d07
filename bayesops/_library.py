"""Loads the native libraries; importing this module registers the operators under ``torch.ops.bayesops``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

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


def has_cuda() -> bool:
    """Whether the kernels for CUDA have been loaded."""
    return any(path.name == "_C_cuda.so" for path in load())


def lacks_cuda() -> bool:
    """Whether tensors may be on a CUDA device where there are no kernels for them."""
    return torch.version.cuda is not None and not has_cuda()


def explain_missing_cuda() -> None:
    """Let operators without an implementation for CUDA say what is missing; PyTorch would list dispatch keys.

    Those that are composites for CUDA, which must be registered by now, call others that say it.
    """
    library = torch.library.Library("bayesops", "IMPL", "CUDA")
    for name in torch._C._dispatch_get_all_op_names():
        if name.startswith("bayesops::") and not torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA"):
            operator = name.removeprefix("bayesops::")
            library.impl(operator, _refusal(operator))
    _libraries.append(library)


def _refusal(operator: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any) -> NoReturn:
        raise RuntimeError(
            f"{operator}: a tensor is on a CUDA device, and this bayesops was built without its CUDA library. Build it "
            "from source where nvcc is: BAYESOPS_CUDA=1 pip install --no-build-isolation ."
        )

    return refuse


_libraries: list[torch.library.Library] = []  # implementations live as long as their library object

load()
