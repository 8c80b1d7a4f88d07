"""CIFAR-10 and CIFAR-100 from their published binary files."""

import tarfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bayesops.data.labelled import LabelledImages

_PIXELS = 3 * 32 * 32


def cifar10(folder: str | Path) -> LabelledImages:
    """Read CIFAR-10: 50 000 images to train and 10 000 to test, ``[N, 3, 32, 32]``, of 10 classes.

    Parameters
    ----------
    folder : str or Path
        With the files ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``, in itself or in
        ``cifar-10-batches-bin``; or the archive that holds them, ``cifar-10-binary.tar.gz``.

    Raises
    ------
    FileNotFoundError
        A folder, archive or file that is missing.
    ValueError
        A file that is cut off, or that is not of this form.

    Notes
    -----
    A record is a byte for the class and 3072 for the image, by channel (red, green, blue), row and column.
    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    folder = Path(folder)
    batches = [f"data_batch_{number}.bin" for number in range(1, 6)]
    contents = _contents(folder, "cifar-10-batches-bin", [*batches, "test_batch.bin"])
    parts = [_records(folder / name, content, (10,), 0) for name, content in contents.items()]
    images, labels = (torch.cat(tensors) for tensors in zip(*parts[:-1], strict=True))
    return LabelledImages("CIFAR-10", images, labels, *parts[-1])


def cifar100(folder: str | Path, coarse: bool = False) -> LabelledImages:
    """Read CIFAR-100: 50 000 images to train and 10 000 to test, ``[N, 3, 32, 32]``, of 100 classes.

    Parameters
    ----------
    folder : str or Path
        With the files ``train.bin`` and ``test.bin``, in itself or in ``cifar-100-binary``; or the archive that holds
        them, ``cifar-100-binary.tar.gz``.
    coarse : bool
        Take the 20 superclasses as labels.

    Raises
    ------
    FileNotFoundError
        A folder, archive or file that is missing.
    ValueError
        A file that is cut off, or that is not of this form.

    Notes
    -----
    A record is that of CIFAR-10 with two bytes in front: the superclass, then the class.
    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    folder = Path(folder)
    contents = _contents(folder, "cifar-100-binary", ["train.bin", "test.bin"])
    train, test = (
        _records(folder / name, content, (20, 100), 0 if coarse else 1) for name, content in contents.items()
    )
    return LabelledImages("CIFAR-100, coarse" if coarse else "CIFAR-100", *train, *test)


def _contents(folder: Path, inner: str, names: list[str]) -> dict[str, bytes]:
    """Return what the files hold, from a folder, its folder `inner`, or an archive."""
    if folder.is_file():
        return _unpacked(folder, names)
    inner_folder = folder / inner
    where = inner_folder if inner_folder.is_dir() else folder
    for name in names:
        if not (where / name).is_file():
            raise FileNotFoundError(
                f"{where}: no file {name} (wanted: {', '.join(names)}, or the path of their .tar.gz)"
            )
    return {name: (where / name).read_bytes() for name in names}


def _unpacked(archive: Path, names: list[str]) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(archive) as members:
            for member in members:
                name = Path(member.name).name
                if name in names and (file := members.extractfile(member)) is not None:
                    found[name] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{archive}: not a whole archive: {error}") from error
    for name in names:
        if name not in found:
            raise FileNotFoundError(f"{archive}: no file {name} in the archive")
    return {name: found[name] for name in names}


def _records(path: Path, content: bytes, classes: tuple[int, ...], which: int) -> tuple[Tensor, Tensor]:
    """Images and labels of one file; a record begins with a byte for each of `classes`, and `which` is the label."""
    length = len(classes) + _PIXELS
    if not content or len(content) % length:
        raise ValueError(f"{path}: records of {length} bytes wanted, got {len(content)} bytes in all")
    records = torch.from_numpy(np.frombuffer(content, np.uint8).reshape(-1, length).copy())
    for column, count in enumerate(classes):
        if (largest := int(records[:, column].max())) >= count:
            raise ValueError(f"{path}: classes in [0, {count}) wanted in byte {column} of each record, got {largest}")
    images = records[:, len(classes) :].reshape(-1, 3, 32, 32).float().div_(255)
    return images, records[:, which].long()
