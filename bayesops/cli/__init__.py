"""The command `bayesops`: what is installed, what sampling costs, and a demonstration."""

import argparse
import os
import sys
from collections.abc import Sequence

import torch

from bayesops import __version__
from bayesops._messages import first_line
from bayesops.cli import demo, info, profile
from bayesops.cli._arguments import UsageError

# What only the commands use; the library itself needs none of it.
_EXTRAS = {"matplotlib", "rich", "sklearn", "tqdm"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (those of the process by default) and return the exit status."""
    parser = argparse.ArgumentParser(prog="bayesops", description=__doc__.split(":")[1].strip().capitalize())
    parser.add_argument("--version", action="version", version=f"bayesops {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command in (info, profile, demo):
        command.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()  # or a reader that has gone is found out when nobody can help it any more
    except UsageError as error:
        print(f"bayesops {options.command}: error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        print(
            f"bayesops {options.command} needs {package}: pip install 'bayesops[cli]' brings all it uses",
            file=sys.stderr,
        )
        return 1
    except (MemoryError, RuntimeError) as error:
        if not _lacks_memory(error):
            raise
        print(f"bayesops {options.command}: error: too large for the memory: {first_line(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # what follows is Python's own advice (library/signal, "Note on SIGPIPE")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _lacks_memory(error: Exception) -> bool:
    """Whether torch has asked for more memory than there is; on the CPU only the message says so."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)
