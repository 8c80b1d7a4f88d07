"""What a type checker sees of the library in code that uses it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bayesops as bo

ROOT = Path(__file__).resolve().parents[2]


def test_every_public_function_is_one_to_a_type_checker(tmp_path):
    pytest.importorskip("mypy")
    names = [name for name in bo.__all__ if callable(getattr(bo, name))]
    script = tmp_path / "user.py"
    script.write_text("import bayesops as bo\n" + "".join(f"reveal_type(bo.{name})\n" for name in names))
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", ROOT / ".mypy_cache", script]
    run = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    revealed = re.findall(r'Revealed type is "(.*)"', run.stdout)
    assert run.returncode == 0, run.stdout
    assert len(revealed) == len(names)
    assert all(kind.startswith("def (") for kind in revealed), run.stdout
