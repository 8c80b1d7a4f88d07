"""Splits of a regression set: files of the published form, made here."""

import numpy as np
import pytest
import torch

import bayesops as bo


@pytest.fixture
def folder(tmp_path):
    """40 rows: a column that is no feature, three features (the last of them constant), the target."""
    where = tmp_path / "yacht" / "data"
    where.mkdir(parents=True)
    generator = np.random.default_rng(0)
    table = generator.normal(5, 3, (40, 5))
    table[:, 3] = 7.0
    np.savetxt(where / "data.txt", table)
    np.savetxt(where / "index_features.txt", [1, 2, 3], "%d")
    np.savetxt(where / "index_target.txt", [4], "%d")
    for split in range(2):
        order = generator.permutation(40)
        np.savetxt(where / f"index_train_{split}.txt", order[:36], "%d")
        np.savetxt(where / f"index_test_{split}.txt", order[36:])  # as floats: both occur
    for name, value in (("n_splits", 2), ("n_hidden", 50), ("n_epochs", 40)):
        np.savetxt(where / f"{name}.txt", [value], "%d")
    return tmp_path / "yacht"


@pytest.mark.parametrize("split", [0, 1])
def test_a_split_has_the_rows_and_columns_that_its_files_say(folder, split):
    read = bo.data.uci_split(folder, split, normalise=False)
    table = np.loadtxt(folder / "data" / "data.txt")
    for part, inputs, targets in (
        ("train", read.train_inputs, read.train_targets), ("test", read.test_inputs, read.test_targets)
    ):  # fmt: skip
        rows = np.loadtxt(folder / "data" / f"index_{part}_{split}.txt").astype(int)
        np.testing.assert_array_equal(inputs.numpy(), table[rows][:, [1, 2, 3]].astype(np.float32))
        np.testing.assert_array_equal(targets.numpy(), table[rows, 4].astype(np.float32))
    assert (read.name, read.target_mean, read.target_std) == ("yacht", 0.0, 1.0)


def test_normalising_goes_by_the_training_part(folder):
    raw, read = (bo.data.uci_split(folder / "data", 1, normalise=normalise) for normalise in (False, True))
    mean, std = raw.train_inputs.mean(0), raw.train_inputs.std(0, correction=0)
    std[2] = 1  # constant
    torch.testing.assert_close(read.train_inputs, (raw.train_inputs - mean) / std, rtol=0, atol=1e-5)
    torch.testing.assert_close(read.test_inputs, (raw.test_inputs - mean) / std, rtol=0, atol=1e-5)
    assert read.train_inputs.dtype == read.train_targets.dtype == torch.float32
    assert read.train_targets.mean().abs() < 1e-6
    assert read.train_targets.std(correction=0) == pytest.approx(1)
    for normalised, own in ((read.train_targets, raw.train_targets), (read.test_targets, raw.test_targets)):
        torch.testing.assert_close(read.target_mean + read.target_std * normalised, own, rtol=1e-5, atol=1e-5)
    again = read.normalised()
    assert again.target_mean == pytest.approx(read.target_mean)
    assert again.target_std == pytest.approx(read.target_std)
    assert read.name == "yacht"


def test_a_column_of_large_numbers_that_hardly_differ_keeps_its_differences(folder):
    table = np.loadtxt(folder / "data" / "data.txt")
    table[:, 1] = 1e9 + np.arange(40)  # float32 knows steps of 64 there
    np.savetxt(folder / "data" / "data.txt", table)
    read = bo.data.uci_split(folder, 0)
    assert len(read.train_inputs[:, 0].unique()) == 36


def test_settings_and_their_grids(folder):
    assert bo.data.uci_settings(folder) == bo.data.UCISettings(2, 50, 40)
    np.savetxt(folder / "data" / "dropout_rates.txt", [0.005, 0.05])
    np.savetxt(folder / "data" / "tau_values.txt", [0.25])
    assert bo.data.uci_settings(folder) == bo.data.UCISettings(2, 50, 40, (0.005, 0.05), (0.25,))


@pytest.mark.parametrize(
    "name", ["data", "index_features", "index_target", "index_train_1", "index_test_1", "n_splits"]
)  # fmt: skip
def test_a_missing_file_is_named(folder, name):
    (folder / "data" / f"{name}.txt").unlink()
    with pytest.raises(FileNotFoundError, match=rf"data: no file {name}\.txt"):
        bo.data.uci_split(folder, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data", "1 2 3\nfour 5 6\n", "not a table of numbers"),
        ("data", "1 2 3\n4 5\n", "not a table of numbers"),
        ("data", "nan 1 2 3 4\n", "finite numbers"),
        ("index_train_0", "", "finite numbers"),
        ("index_train_0", "0\n40\n", r"rows in \[0, 40\) wanted, got numbers from 0 to 40"),
        ("index_test_0", "-1\n", r"rows in \[0, 40\)"),
        ("index_test_0", "1.5\n", r"rows in \[0, 40\)"),
        ("index_features", "0\n5\n", r"columns in \[0, 5\) wanted"),
        ("index_target", "3\n4\n", "one column wanted, got 2"),
        ("n_splits", "2.5\n", "one whole number"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_what_is_not_of_this_form_is_refused(folder, name, content, message):
    (folder / "data" / f"{name}.txt").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        bo.data.uci_split(folder, 0)
    assert f"{name}.txt" in str(error.value)


def test_a_row_in_both_parts_is_refused(folder):
    rows = np.loadtxt(folder / "data" / "index_train_0.txt").astype(int)
    np.savetxt(folder / "data" / "index_test_0.txt", rows[:2], "%d")
    with pytest.raises(ValueError, match="split 0 has 2 rows in both parts"):
        bo.data.uci_split(folder, 0)


@pytest.mark.parametrize("split", [-1, 2])
def test_a_split_that_there_is_not_is_refused(folder, split):
    with pytest.raises(ValueError, match=rf"uci_split: argument 'split' must be in \[0, 2\).*got {split}"):
        bo.data.uci_split(folder, split)
    with pytest.raises(TypeError, match="uci_split: argument 'split' must be an int, got str"):
        bo.data.uci_split(folder, str(split))
