"""Digits: scikit-learn's, or MNIST and sets in its form from their idx files."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bayesops._optional import require
from bayesops.data.idx import read_idx
from bayesops.data.labelled import LabelledImages


def digits(seed: int = 0) -> LabelledImages:
    """Return the 1797 digits of 8 x 8 pixels that come with scikit-learn: 1400 to train, 397 to test.

    Parameters
    ----------
    seed : int
        Shuffles the digits before they are split: another seed, other digits to test.

    Raises
    ------
    ModuleNotFoundError
        Without scikit-learn.

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI repository, 1998.
    """
    bunch = require("digits", "sklearn.datasets", "data", "scikit-learn").load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    images = torch.from_numpy((bunch.images[order] / 16).astype(np.float32))[:, None]
    labels = torch.from_numpy(bunch.target[order].astype(np.int64))
    return LabelledImages("scikit-learn digits", images[:1400], labels[:1400], images[1400:], labels[1400:])


def mnist(folder: str | Path) -> LabelledImages:
    """Read MNIST, or any set in its form, from the four idx files in `folder`, gzipped or not.

    Parameters
    ----------
    folder : str or Path
        Where ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte`` lie, or the same with ``.gz``. Its name is that of the set.

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
