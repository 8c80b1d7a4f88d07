"""The command `bayesops`: what is installed, what sampling costs, and a demonstration."""

import argparse
import sys
from collections.abc import Sequence

from bayesops.cli import demo, info, profile
from bayesops.cli._arguments import UsageError

# What only the commands use; the library itself needs none of it.
_EXTRAS = {"matplotlib", "rich", "sklearn", "tqdm"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (those of the process by default) and return the exit status."""
    parser = argparse.ArgumentParser(prog="bayesops", description=__doc__.split(":")[1].strip().capitalize())
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command in (info, profile, demo):
        command.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
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
    except KeyboardInterrupt:
        return 130
    return 0
