"""UCI regression in its quick form, on diabetes and on a folder of the published form."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "uci_regression.py"


def run(out, *options):
    runpy.run_path(str(SCRIPT))["main"]([*options, "--quick", "--out", str(out)])
    return json.loads((out / "uci_regression.json").read_text())


def test_diabetes_without_a_folder(tmp_path, capsys):
    found = run(tmp_path)
    assert found["set"] == "diabetes"
    assert len(found["splits"]) == 2
    # The targets' deviation is 77, their log likelihood under one normal distribution −5.8.
    assert 45 < found["rmse"]["mean"] < 68
    assert -5.7 < found["log_likelihood"]["mean"] < -5.2
    for key in ("rmse", "log_likelihood"):
        values = [split[key] for split in found["splits"]]
        assert found[key]["mean"] == pytest.approx(np.mean(values))
        assert found[key]["standard_error"] == pytest.approx(np.std(values) / 2**0.5)
    assert "RMSE" in capsys.readouterr().out


def test_a_folder_of_the_published_form(tmp_path):
    """A line with known noise: the error is the noise's deviation, and the τ that is found its precision."""
    where = tmp_path / "line" / "data"
    where.mkdir(parents=True)
    generator = np.random.default_rng(0)
    inputs = generator.uniform(-1, 1, (600, 2))
    targets = 30 + 20 * inputs[:, 0] + 2 * generator.normal(size=600)
    np.savetxt(where / "data.txt", np.column_stack([inputs, targets]))
    order = generator.permutation(600)
    files = {
        "index_features": [0, 1], "index_target": [2], "index_train_0": order[:500], "index_test_0": order[500:],
        "n_splits": [1], "n_hidden": [50], "n_epochs": [40],
    }  # fmt: skip
    for name, numbers in files.items():
        np.savetxt(where / f"{name}.txt", numbers, "%d")
    np.savetxt(where / "dropout_rates.txt", [0.005, 0.01])
    np.savetxt(where / "tau_values.txt", [0.01, 0.25, 10])
    found = run(tmp_path, str(where.parent))
    assert (found["set"], len(found["splits"])) == ("line", 1)
    assert found["splits"][0]["precision"] == 0.25
    assert found["rmse"]["mean"] == pytest.approx(2, rel=0.25)
    assert found["log_likelihood"]["mean"] == pytest.approx(-0.5 * np.log(2 * np.pi * np.e * 4), abs=0.25)
