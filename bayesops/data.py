"""Small sets of labelled digits for the demo and the tests: scikit-learn's, or MNIST from its idx files."""

import gzip
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bayesops import random

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@dataclass(frozen=True)
class LabelledImages:
    """Images and their classes, split in two.

    Attributes
    ----------
    name : str
        Where they come from.
    train_images, test_images : Tensor
        float32 ``[N, 1, H, W]`` in [0, 1].
    train_labels, test_labels : Tensor
        int64 ``[N]``.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def subset(self, num_train: int, num_test: int) -> "LabelledImages":
        """Return the first images of each part (all of them where there are fewer)."""
        return LabelledImages(
            self.name,
            self.train_images[:num_train],
            self.train_labels[:num_train],
            self.test_images[:num_test],
            self.test_labels[:num_test],
        )


def digits(seed: int = 0) -> LabelledImages:
    """Return the 1797 digits of 8 x 8 pixels that come with scikit-learn: 1400 to train, 397 to test.

    Raises
    ------
    ModuleNotFoundError
        Without scikit-learn.

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI repository, 1998.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    images = torch.from_numpy((bunch.images[order] / 16).astype(np.float32))[:, None]
    labels = torch.from_numpy(bunch.target[order].astype(np.int64))
    return LabelledImages("scikit-learn digits", images[:1400], labels[:1400], images[1400:], labels[1400:])


def mnist(folder: str | Path) -> LabelledImages:
    """Read MNIST, or any set in its form, from the four idx files in `folder`, gzipped or not.

    Raises
    ------
    FileNotFoundError
        A file that is missing.
    ValueError
        A file that is not idx, or that is not of the shape of images or labels.
    """
    folder = Path(folder)

    def part(prefix: str) -> tuple[Tensor, Tensor]:
        images = read_idx(_find(folder, f"{prefix}-images-idx3-ubyte"))
        labels = read_idx(_find(folder, f"{prefix}-labels-idx1-ubyte"))
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise ValueError(
                f"{folder}: {prefix} images [N, H, W] and labels [N] wanted, "
                f"got shapes {images.shape} and {labels.shape}"
            )
        pixels = torch.from_numpy(images.astype(np.float32) / 255)[:, None]
        return pixels, torch.from_numpy(labels.astype(np.int64))

    return LabelledImages(folder.name, *part("train"), *part("t10k"))


def _find(folder: Path, name: str) -> Path:
    # Mirrors of MNIST spell "-idx3" also ".idx3".
    for candidate in (name, name.replace("-idx", ".idx")):
        for path in (folder / candidate, folder / f"{candidate}.gz"):
            if path.is_file():
                return path
    raise FileNotFoundError(f"{folder}: no file {name} or {name}.gz")


def read_idx(path: str | Path) -> np.ndarray:
    """Read one array from an idx file, gzipped if its name ends in ``.gz``, in the machine's byte order.

    Raises
    ------
    ValueError
        A file that is not idx, or whose length does not fit its header.

    Notes
    -----
    The format: two zero bytes, a type, the number of dimensions, the sizes as big-endian int32, the elements row by
    row, big-endian (Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits").
    """
    path = Path(path)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise ValueError(f"{path}: not an idx file (it begins with {content[:4].hex(' ') or 'nothing'})")
    dtype, dimensions = np.dtype(_IDX_TYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError(f"{path}: the header of {dimensions} dimensions is cut off")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    wanted = math.prod(shape) * dtype.itemsize
    if len(content) - start != wanted:
        raise ValueError(f"{path}: shape {shape} needs {wanted} bytes, and {len(content) - start} follow the header")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def _noise(images: Tensor, strength: float, seed: int) -> Tensor:
    return (images + strength * random.normal(seed, images.shape)).clamp(0, 1)


def _occlusion(images: Tensor, strength: float, seed: int) -> Tensor:
    # Each image loses one of its four sides: `strength` of its rows or columns.
    rows, columns = (round(strength * size) for size in images.shape[-2:])
    side = random.sample_seeds(seed, len(images)) % 4
    images = images.clone()
    images[side == 0, :, :rows] = 0
    images[side == 1, :, images.shape[-2] - rows :] = 0
    images[side == 2, :, :, :columns] = 0
    images[side == 3, :, :, images.shape[-1] - columns :] = 0
    return images


CORRUPTIONS: dict[str, Callable[[Tensor, float, int], Tensor]] = {"noise": _noise, "occlusion": _occlusion}


def corrupt(images: Tensor, kind: str = "noise", strength: float = 0.4, seed: int = 0) -> Tensor:
    """Damage images ``[N, C, H, W]`` in [0, 1]; the same damage for the same `seed`.

    Parameters
    ----------
    images : Tensor
        float32, stays as it is.
    kind : {"noise", "occlusion"}
        Gaussian noise, or a side of each image blackened.
    strength : float
        Standard deviation of the noise; or the share of the image that is lost, at most 1.
    seed : int
        Of the noise, or of the choice of the side.

    Raises
    ------
    ValueError
        An unknown kind, a strength below 0, an occlusion of more than the image.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"corrupt: argument 'kind' must be one of {', '.join(CORRUPTIONS)}, got {kind!r}")
    if strength < 0 or (kind == "occlusion" and strength > 1):
        raise ValueError(f"corrupt: argument 'strength' must not be negative (occlusion: nor above 1), got {strength}")
    return CORRUPTIONS[kind](images, strength, seed)
