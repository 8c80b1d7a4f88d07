"""Files that are to be written."""

from os import PathLike
from pathlib import Path


def why_not_writable(file: str | PathLike[str]) -> str | None:
    """Return why `file` cannot be written, or None if it can: known now, and not after an hour's work."""
    path = Path(file).absolute()
    if not path.parent.is_dir():
        return f"{file}: there is no such folder"
    if path.is_dir():
        return f"{file}: is a folder, not a file"
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        return f"{file} cannot be written: {error.strerror}"
    if not existed:
        path.unlink()
    return None
