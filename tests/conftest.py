"""Fixtures for all tests."""

import os
import re

# On a busy machine, threads that spin while they wait for each other make the suite five times slower. Read by OpenMP
# when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Without it cuBLAS refuses under torch.use_deterministic_algorithms(True). Read once, at its first product.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import pytest
import torch
from torch.utils import _pytree as pytree

HAS_GPU = torch.cuda.is_available()


def pytest_configure(config):
    config.addinivalue_line("markers", "cpu_only: of tests that take `device`: what is tested is the CPU's alone")


def _runs_on(config):
    """Devices of tests that take `device`. Without a GPU those that are skipped, 20000, only where `-m` names them."""
    cuda = pytest.param("cuda", marks=pytest.mark.cuda)
    return ["cpu", cuda] if HAS_GPU or "cuda" in config.option.markexpr else ["cpu"]


def pytest_report_header(config):
    return f"devices: {'cpu and cuda' if HAS_GPU else 'cpu (no CUDA GPU, or a torch without CUDA)'}"


def pytest_generate_tests(metafunc):
    if "device" in metafunc.fixturenames:
        cpu_only = metafunc.definition.get_closest_marker("cpu_only")
        metafunc.parametrize("device", ["cpu"] if cpu_only else _runs_on(metafunc.config), indirect=True)


def pytest_runtest_setup(item):
    if not HAS_GPU and item.get_closest_marker("cuda"):
        pytest.skip("needs a CUDA GPU and a CUDA torch")


@pytest.fixture
def exact_library():
    """Let CUDA's convolutions and products be those of their dtype, and the same at every call."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction
    matmul.allow_tf32 = matmul.allow_bf16_reduced_precision_reduction = False
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        matmul.allow_tf32, matmul.allow_bf16_reduced_precision_reduction = before


def tensors_to(device, value):
    """`value`, a tensor or anything that holds some, with those of the CPU on `device`."""
    return pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.to(device) if tensor.is_cpu else tensor, value)


@pytest.fixture
def device(request, monkeypatch):
    """Where a test runs. On "cuda" what torch makes is there, and so are the constants of the test's module (seeds).

    That library code leans on no default device is looked after by `tests/cuda/test_every_operator.py`.
    """
    if request.param == "cpu":
        yield "cpu"
        return
    for name, value in list(vars(request.module).items()):
        if any(isinstance(leaf, torch.Tensor) for leaf in pytree.tree_leaves(value)):
            monkeypatch.setattr(request.module, name, tensors_to(request.param, value))
    request.getfixturevalue("exact_library")
    with torch.device(request.param):
        yield request.param


@pytest.fixture(scope="session")
def is_cuda_on_host(pytestconfig):
    """Whether the CPU's operators have been replaced by what CUDA runs (`make cuda-on-host`)."""
    return pytestconfig.pluginmanager.has_plugin("tests.cuda.on_host.plugin")


@pytest.fixture
def has_cuda_operators(device, is_cuda_on_host):
    """Whether operators run as they do on CUDA, there or on the host."""
    return device == "cuda" or is_cuda_on_host


@pytest.fixture
def generator_state(device):
    """Return a function that tells the state of torch's generator of the device."""
    return torch.cuda.get_rng_state if device == "cuda" else torch.get_rng_state


@pytest.fixture(scope="session")
def blocks():
    """Return a function that finds the code on a page: blocks of a language, or (language, block) pairs for several."""

    def of_page(page, *languages):
        found = re.findall(rf"^```({'|'.join(languages)})\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
        return found if len(languages) > 1 else [block for _, block in found]

    return of_page


@pytest.fixture(autouse=True)
def _fixed_torch_generator():
    """Inputs are the same in every run; the operators themselves read no global generator."""
    torch.manual_seed(20240607)
