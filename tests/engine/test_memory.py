"""Memory does not grow with the number of draws: peak resident memory of two processes."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import bayesops as bo

model = bo.models.build({model!r}, bayesian=True).eval()
inputs = bo.models.example_input({model!r}, {examples})
bo.predict(model, inputs, {samples}, path={path!r})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(**options):
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(**options)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.cpu_only
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss")
@pytest.mark.parametrize(("path", "few"), [("plan", 100), ("vmap", 1000)])
def test_ten_thousand_draws_take_no_more_memory_than_a_few(path, few):
    """The heap of the vmap path takes some hundred draws to reach the size that it keeps."""
    options = {"model": "lenet5", "examples": 16, "path": path}
    assert peak(samples=10_000, **options) <= 1.05 * peak(samples=few, **options)
