"""Runs the device's tests on a CUDA device that is only pretended: `make cuda-pretended`.

Its tensors hold one of the CPU, which computes (`tensors.py`), and what is not arithmetic is as on a device: tensors of
two devices do not mix, what would wait for the device is seen, the composites that Python registers for CUDA run, and
tests find themselves on another device than the CPU. It leans on what torch calls its own, of the version that
requirements-dev.txt pins. For the CUDA library's kernels there is `make cuda-on-host`.
"""

from tests.cuda.pretended import library


def pretend():
    library.load()
    from tests.cuda.pretended import tensors  # imports torch

    tensors.install()


pretend()  # now: before pytest reads the conftest.py that import torch

# What a wrapper of tensors or a mode of torch cannot do, or what a device alone has.
LEFT_OUT = (
    "compile", "export", "opcheck", "inference_mode", "several_threads", "test_forward_mode.py", "test_graphs.py",
    "a_target_that_is_no_class",
)  # fmt: skip


def pytest_report_header():
    return "operators: on a CUDA device that is only pretended"


def pytest_collection_modifyitems(config, items):
    kept = [item for item in items if item.get_closest_marker("cuda") and not any(n in item.nodeid for n in LEFT_OUT)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept
