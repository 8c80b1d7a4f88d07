"""`bayesops info`: versions, the instruction set in use, threads, libraries, and how this copy was built."""

import argparse
import json
import platform
from typing import Any

from bayesops.cli._arguments import UsageError


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("info", help="show versions, instruction set, threads and libraries")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the facts."""
    facts = gather()
    if options.json:
        print(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key.replace('_', ' ')} {_text(item)}" for key, item in value.items())
        print(f"{name.replace('_', ' '):<{width}}  {_text(value)}")


def gather() -> dict[str, Any]:
    """Collect what `bayesops info` prints."""
    import numpy as np
    import torch

    import bayesops
    from bayesops import _library, _native
    from bayesops.profiling import machine

    try:
        here = machine.describe()
    except RuntimeError as error:  # BAYESOPS_CPU_CAPABILITY names a set that is unknown, or not to be had here
        raise UsageError(str(error).splitlines()[0]) from error
    return {
        "bayesops": bayesops.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": here.cpu,
        "cpu_capability": here.capability,
        "threads": here.threads,
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "libraries": [str(path) for path in (*_library.load(), _native.__file__)],
        "build": _native.build_info(),
    }


def _text(value: object) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
