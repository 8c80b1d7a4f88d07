"""Two processes by torchrun and gloo: the result of one, and no waiting for the dead."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import bayesops as bo

sys.path.insert(0, str(Path(__file__).parent))
import ranks

pytestmark = [
    pytest.mark.cpu_only,
    pytest.mark.slow,
    pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="torch was built without gloo"),
]


def run(scenario, folder, expected_ranks=2):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", ranks.__file__]
    done = subprocess.run([*command, scenario, str(folder)], capture_output=True, text=True, timeout=120)
    found = sorted(folder.glob("*.pt"))
    assert len(found) == expected_ranks, done.stderr[-3000:]
    return [torch.load(path, weights_only=False) for path in found]


def test_predictions_are_those_of_one_process(tmp_path):
    first, second = run("predictions", tmp_path)
    model, images = ranks.classifier(), ranks.images()
    options = {"quantiles": (0.1, 0.9), "return_samples": True}
    batches = list(images.split(2))
    expected = {
        "samples": bo.predict(model, images, 11, **options),
        "fewer_samples_than_ranks": bo.predict(model, images, 1, **options),
        "identity": bo.predict(model, images, 8, link="identity", **options),
        "sigmoid": bo.predict(model, images, 8, link="sigmoid", **options),
        "batches": bo.predict(model, batches, 7, **options),
        "samples_of_batches": bo.predict(model, batches, 7, **options),
        "auto": bo.predict(model, images, "auto", tolerance=0.02, **options),
    }
    assert first.keys() == expected.keys()
    for name, one in expected.items():
        for found in (first[name], second[name]):
            assert found["num_samples"] == one.num_samples
            for field in ranks.FIELDS:
                torch.testing.assert_close(
                    found[field], getattr(one, field), rtol=1e-5, atol=1e-6, msg=f"{name} {field}"
                )


def test_each_rank_has_its_own_device(tmp_path):
    assert run("devices", tmp_path) == [["cpu", "cpu"], ["meta", "meta"]]


def test_a_model_that_fails_on_one_rank(tmp_path):
    first, second = run("failures", tmp_path)
    assert second == ["ZeroDivisionError: the model's own fault"] * 2
    assert len(first) == 2
    for message in first:
        assert message.startswith("RuntimeError: predict: failed on other ranks (rank 1: ZeroDivisionError")


def test_a_rank_that_dies_is_an_error(tmp_path):
    (first,) = run("death", tmp_path, expected_ranks=1)
    assert first.startswith(("RuntimeError", "DistBackendError", "DistNetworkError"))


def test_a_wrapped_model_is_looked_into(tmp_path):
    assert run("wrapped", tmp_path) == ["plan", ""]


def test_training_counts_the_divergence_once(tmp_path):
    """The mean of two ranks' gradients is the gradient of the whole batch, with the divergence in it once."""
    first, second = run("training", tmp_path)
    model = ranks.perceptron()
    with bo.sampling(seed=5):
        ranks.objective(model, *ranks.rows()).backward()
    for name, parameter in model.named_parameters():
        for found in (first, second):
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)
