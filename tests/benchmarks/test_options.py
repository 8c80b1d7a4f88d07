"""The options of the benchmarks, by pytest in a process of its own: what runs where."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import cuda

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """What pytest says about the benchmarks, and its exit status."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr, done.returncode


def collected(*arguments):
    """Names of the cases."""
    lines = run("--collect-only", *arguments)[0].splitlines()
    return {line for line in lines if "::" in line}


def test_without_a_gpu_the_device_is_refused_in_words():
    text, status = run("--collect-only", "--device", "cuda")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "--device cuda: no CUDA device can be used by torch" in text
    assert "--dry" in text


def test_each_place_has_its_cases():
    on_cpu, on_device = collected(), collected("--device", "cuda", "--dry")
    names = [{case.split("[")[0].split("::")[1] for case in cases} for cases in (on_cpu, on_device)]
    assert {"test_plain", "test_channel_masks", "test_samples"} <= names[0] - names[1]
    assert {"test_samples_of_batches", "test_resnet18", "test_epilogue"} <= names[1] - names[0]
    assert {"test_one_draw", "test_mask_per_example", "test_sample_gaussian", "test_logit_noise"} <= names[0] & names[1]
    files = {case.split("::")[0] for case in on_device}
    assert not files & {"benchmarks/bench_accelerate.py", "benchmarks/bench_max_pool.py"}


@pytest.mark.slow
@pytest.mark.skipif(cuda.why_none() is None, reason="where there is a GPU, the cases themselves say more")
def test_the_cases_of_a_device_run_on_tensors_without_memory():
    """Shapes and devices fit together: the first session with a GPU must not be spent on finding out."""
    text, status = run("--device", "cuda", "--dry", "--benchmark-quiet")
    assert status == 0, text
