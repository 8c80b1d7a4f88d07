"""What the checks of this folder read from object files and libraries: nm and readelf, parsed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Symbol(NamedTuple):
    kind: str  # the letter that nm prints: upper case for global symbols
    name: str  # with its version (name@VERSION) if it has one


def _lines(*command: str | Path) -> list[str]:
    return subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True
    ).stdout.splitlines()


def defined_symbols(path: Path) -> list[Symbol]:
    """Return the symbols that an object file defines and other files see."""
    fields = (line.split() for line in _lines("nm", "--defined-only", "--extern-only", path))
    return [Symbol(kind, name) for _, kind, name in fields]


def undefined_symbols(path: Path) -> list[Symbol]:
    """Return the symbols that a shared library expects of others."""
    return [Symbol(*line.split()) for line in _lines("nm", "--dynamic", "--undefined-only", path)]


def sections(path: Path) -> set[str]:
    """Return the names of an object file's sections."""
    return {word for line in _lines("readelf", "--wide", "--sections", path) for word in line.split() if word[0] == "."}


def dynamic_entries(path: Path, tag: str) -> list[str]:
    """Return the values of a tag (NEEDED, RUNPATH, ...) in a shared library's dynamic section."""
    return [
        line.split("[")[1].rstrip("]") for line in _lines("readelf", "--wide", "--dynamic", path) if f"({tag})" in line
    ]
