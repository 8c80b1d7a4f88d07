"""What all studies do alike."""

import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "examples").glob("study_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_without_the_data_it_says_what_is_missing(script, monkeypatch, tmp_path):
    monkeypatch.delenv("BAYESOPS_DATA", raising=False)
    with pytest.raises(SystemExit, match="BAYESOPS_DATA is not set"):
        runpy.run_path(str(script))["main"](["--quick", "--out", str(tmp_path)])
