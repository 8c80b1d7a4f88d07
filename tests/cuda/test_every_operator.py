"""No operator is forgotten: each has a CUDA implementation, and gives on the device what it gives on the CPU."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest
import torch

import bayesops as bo
from bayesops import _library

ROOT = Path(__file__).parents[2]
# The CPU's own: its instruction set, what its kernels count, and the speed of its arithmetic.
ON_CPU_ONLY = {"cpu_capability", "kernel_counters", "measure_multiply_add_peak", "set_kernel_counters"}

# --- without a GPU ----------------------------------------------------------------------------------------------------


def test_every_schema_has_a_cuda_implementation():
    """A composite in Python, which is registered here, or a kernel that a source of the CUDA library registers."""
    if not (ROOT / "csrc" / "cuda").is_dir():
        pytest.skip("the native sources (csrc) are not beside the tests")
    names = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("bayesops::")}
    if _library.lacks_cuda():
        pytest.skip("operators without one are registered, too, to say that they have none")
    composites = {name for name in names if torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA")}
    sources = [path.read_text() for path in (ROOT / "csrc" / "cuda").glob("*.cu")]
    headers = {name for source in sources for name in re.findall(r'#include "(ops/\w+\.h)"', source)}
    sources += [(ROOT / "csrc" / name).read_text() for name in headers]  # what every device runs is registered there
    kernels = {f"bayesops::{name}" for source in sources for name in re.findall(r'm\.impl\("(\w+)"', source)}
    assert names - composites - kernels == {f"bayesops::{name}" for name in ON_CPU_ONLY}


def test_every_public_operator_is_run_on_the_device(operation_names):
    public = {*bo.ops.__all__, *bo.random.__all__} - {"GaussianSample"}
    assert public <= operation_names


# Where no device is meant: only the shape is read; before the first draw.
WITHOUT_DEVICE = {
    "ops/masked_conv.py: torch.zeros((), dtype=torch.int64)",
    "engine/moments.py: torch.empty(0)",
    "engine/plan.py: torch.empty(0)",
}
FACTORIES = {
    "arange", "as_tensor", "asarray", "empty", "empty_strided", "eye", "from_numpy", "full", "linspace", "logspace",
    "ones", "rand", "randint", "randn", "randperm", "scalar_tensor", "tensor", "zeros",
}  # fmt: skip


def test_every_tensor_is_made_on_a_device_that_is_named():
    """The tests that run on each device set torch's default one, under which a forgotten device would not show."""
    package = Path(bo.__file__).parent
    found = set()
    for path in (*(p for room in ("ops", "nn", "engine", "random") for p in (package / room).glob("*.py")),):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not re.fullmatch(r"torch\.\w+", ast.unparse(node.func)):
                continue
            if node.func.attr in FACTORIES and not any(keyword.arg in ("device", None) for keyword in node.keywords):
                found.add(f"{path.relative_to(package)}: {ast.unparse(node)}")
    assert found == WITHOUT_DEVICE


# --- on the device ----------------------------------------------------------------------------------------------------

# Of the largest value of a result. Composites round what their convolutions answer to 16 bits, too, CPU kernels once.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 0.05, torch.float16: 0.02}


def assert_near(ours, expected, dtype):
    assert ours.is_cuda
    assert ours.shape == expected.shape
    assert ours.stride() == expected.stride()
    if not expected.is_floating_point():
        assert torch.equal(ours.cpu(), expected)
        return
    tolerance = TOLERANCES[dtype] * expected.abs().max().item()
    torch.testing.assert_close(ours.cpu().double(), expected.double(), rtol=0, atol=tolerance)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_results_and_gradients_are_those_of_the_cpu(operation, dtype, exact_library):
    ours, expected = (operation.run(operation.on(device, dtype)) for device in ("cuda", "cpu"))
    for a, b in zip(ours, expected, strict=True):
        assert a.dtype == b.dtype
        assert_near(a, b, dtype)


@pytest.mark.cuda
def test_float16_is_near_float32(operation, exact_library):
    ours = operation.run(operation.on("cuda", torch.float16))
    rounded = {name: tensor.detach() for name, tensor in operation.on("cpu", torch.float16).items()}
    same = dataclasses.replace(operation, tensors=rounded)
    for a, b in zip(ours, same.run(same.on("cpu", torch.float32)), strict=True):
        assert_near(a, b, torch.float16)
