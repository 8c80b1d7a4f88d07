"""Fixtures for the commands."""

import pytest

from bayesops.cli import main


@pytest.fixture
def fails(capsys):
    """Run a command that must fail with status 2 and one clear line; return what it says."""

    def run(*arguments):
        try:
            status = main(arguments)
        except SystemExit as stopped:  # argparse's way
            status = stopped.code
        captured = capsys.readouterr()
        assert status == 2
        assert "Traceback" not in captured.err
        assert captured.out == ""
        return captured.err.strip().splitlines()[-1]

    return run
