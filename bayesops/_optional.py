"""Packages that only a part of the library needs, and the extras that bring them."""

from importlib import import_module
from typing import Any


def require(function: str, module: str, extra: str, package: str = "") -> Any:
    """Import `module` of an optional `package` (the module's own name, unless given).

    Raises
    ------
    ModuleNotFoundError
        It is not there; the message names who needs it, and which extra brings it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = package or module.partition(".")[0]
        message = f"{function}: needs {package}: pip install 'bayesops[{extra}]'"
        raise ModuleNotFoundError(message, name=error.name) from error
