"""The wheel that CI has built, in a clean virtual environment. Set BAYESOPS_WHEEL_DIR to the folder that holds it."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEEL_DIR = os.environ.get("BAYESOPS_WHEEL_DIR")

pytestmark = pytest.mark.skipif(not WHEEL_DIR, reason="BAYESOPS_WHEEL_DIR is not set")


@pytest.fixture(scope="module")
def wheel():
    (path,) = Path(WHEEL_DIR).glob("bayesops-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A virtual environment with the wheel, the pinned torch and pytest, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pins = re.findall(r"^(?:torch|pytest)==.+$", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    install = [
        folder / "bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        *pins,
        f"bayesops[cli] @ {wheel.resolve().as_uri()}",
    ]
    subprocess.run(install, check=True)
    return folder


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"bayesops"}
    assert "bayesops/_C.so" in names
    assert {"bayesops/py.typed", "bayesops/_native.pyi"} <= set(names)


def test_wheel_names_no_path_of_this_machine(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    places = re.compile(rb"/[\w./-]*/(?:csrc|site-packages)/[\w./-]*")  # of sources that quote __FILE__
    for library in tmp_path.glob("bayesops/*.so"):
        assert places.findall(library.read_bytes()) == [], library.name


def test_wheel_works_in_a_clean_environment(environment, tmp_path):
    test = tmp_path / "test_install.py"
    test.write_text((ROOT / "tests/packaging/test_install.py").read_text())
    command = [environment / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    scrubbed = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    run = subprocess.run(command, cwd=tmp_path, env=scrubbed, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
