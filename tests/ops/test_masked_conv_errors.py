"""Every bad argument is refused with a message that names the operator, the argument, what came and what was wanted."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bayesops.ops import masked_conv1d, masked_conv2d, masked_conv3d, masked_linear

pytestmark = pytest.mark.cpu_only  # arguments are checked before a device is met

X, W, B = torch.randn(2, 4, 6, 6), torch.randn(6, 2, 3, 3), torch.randn(6)
GOOD = {"input": X, "weight": W, "bias": B, "p": 0.3, "seed": 1, "groups": 2}
SEEDS = torch.arange(3)

BAD = {
    "p above": ({"p": 1.5}, ValueError, r"'p' must be in \[0, 1\).*got 1.5"),
    "p one": ({"p": 1.0}, ValueError, r"'p' must be in \[0, 1\)"),
    "p negative": ({"p": -0.1}, ValueError, r"'p' must be in \[0, 1\)"),
    "p nan": ({"p": float("nan")}, ValueError, r"'p' must be in \[0, 1\)"),
    "p text": ({"p": "half"}, TypeError, r"'p' must be a number.*got str"),
    "seed none": ({"seed": None}, TypeError, r"'seed' must be an int or an int64 tensor.*got None"),
    "seed float": ({"seed": 0.5}, TypeError, r"'seed' must be .*got float"),
    "seed dtype": ({"seed": torch.tensor(1, dtype=torch.int32)}, TypeError, r"'seed'.*int64.*got torch.int32"),
    "seed shape": ({"seed": SEEDS.view(1, 3)}, ValueError, r"'seed' must be .*\[S\], got shape \(1, 3\)"),
    "seed large": ({"seed": 2**64}, ValueError, r"'seed' must be an int of 64 bits"),
    "stream": ({"stream": -1}, ValueError, r"'stream' must be in \[0, 2\*\*32\), got -1"),
    "stream type": ({"stream": 1.0}, TypeError, r"'stream' must be an int, got float"),
    "granularity": ({"granularity": "pixel"}, ValueError, r"'granularity' must be one of 'weight'.*got 'pixel'"),
    "input type": ({"input": [1.0]}, TypeError, r"'input' must be a tensor, got list"),
    "input dtype": ({"input": X.long()}, TypeError, r"'input' must be float32.*got torch.int64"),
    "input dims": ({"input": X[0, 0]}, ValueError, r"'input' must be of shape \[N, I, H, W\].*got shape \(6, 6\)"),
    "input unbatched": ({"input": X[0]}, ValueError, r"'input' must be of shape \[N, I, H, W\].*got shape \(4, 6, 6\)"),
    "input samples": ({"input": X[None]}, ValueError, r"'input' must be of 4 dimensions.*seed must be \[S\]"),
    "input channels": ({"input": X[:, :3]}, ValueError, r"'input' must be of 4 channels.*got 3"),
    "input and seeds": (
        {"input": X.expand(2, 2, 4, 6, 6), "seed": SEEDS}, ValueError, r"'input' must be of first dimension 3"
    ),
    "input small": ({"input": X[..., :2]}, ValueError, r"'input' must be at least 3 long.*got 2"),
    "weight type": ({"weight": None}, TypeError, r"'weight' must be a tensor, got NoneType"),
    "weight dtype": ({"weight": W.double()}, TypeError, r"'weight' must be of the input's dtype torch.float32"),
    "weight dims": ({"weight": W[..., 0]}, ValueError, r"'weight' must be of shape \[O, I / groups, k0, k1\]"),
    "bias shape": ({"bias": B[:5]}, ValueError, r"'bias' must be of shape \(6,\), got shape \(5,\)"),
    "bias dtype": ({"bias": B.double()}, TypeError, r"'bias' must be of the input's dtype"),
    "groups": ({"groups": 4}, ValueError, r"'groups' must be a positive divisor of the 6 output channels, got 4"),
    "groups type": ({"groups": 2.0}, TypeError, r"'groups' must be an int, got float"),
    "groups zero": ({"groups": 0}, ValueError, r"'groups' must be a positive divisor"),
    "stride": ({"stride": 0}, ValueError, r"'stride' must be at least 1, got 0"),
    "stride large": ({"stride": 2**31}, ValueError, r"'stride' must be less than 2\*\*31, got 2147483648"),
    "dilation large": ({"dilation": 2**60}, ValueError, r"'dilation' must be less than 2\*\*31, got"),
    "padding large": ({"padding": (1, 2**61)}, ValueError, r"'padding' must be less than 2\*\*31, got \(1, "),
    "window large": ({"dilation": 2**30}, ValueError, r"'dilation' must be such that the window reaches over less"),
    "stride length": ({"stride": (1, 1, 1)}, ValueError, r"'stride' must be an int or a tuple of 2 ints"),
    "stride type": ({"stride": 1.5}, TypeError, r"'stride' must be an int or a tuple"),
    "dilation": ({"dilation": (1, 0)}, ValueError, r"'dilation' must be at least 1"),
    "padding": ({"padding": -1}, ValueError, r"'padding' must be at least 0, got -1"),
    "padding word": ({"padding": "full"}, ValueError, r"'padding' must be .*'same' or 'valid', got 'full'"),
    "padding same": ({"padding": "same", "stride": 2}, ValueError, r"'padding' must be .*'same' needs stride 1"),
    "mask type": ({"mask": W}, TypeError, r"'mask' must be a bool tensor, got torch.float32"),
    "mask no tensor": ({"mask": [True]}, TypeError, r"'mask' must be a bool tensor, got list"),
    "mask shape": ({"mask": torch.ones(6, 2, dtype=torch.bool)}, ValueError, r"'mask' must be of shape \(6, 2, 3, 3\)"),
    "mask samples": (
        {"mask": torch.ones(2, *W.shape, dtype=torch.bool), "seed": SEEDS},
        ValueError,
        r"'mask' must be of shape .* or \(3, 6, 2, 3, 3\), got shape \(2, 6, 2, 3, 3\)",
    ),
    "mask for one": (
        {"mask": torch.ones(3, *W.shape, dtype=torch.bool)}, ValueError, r"'mask' must be .*for one mask per sample"
    ),
    "mask per example": (
        {"mask": torch.ones(W.shape, dtype=torch.bool), "per_example": True},
        ValueError,
        r"'mask' must be of shape \(2, 6, 2, 3, 3\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=str)
def test_conv2d(case):
    bad, error, message = BAD[case]
    with pytest.raises(error, match=f"^masked_conv2d: argument {message}"):
        masked_conv2d(**{**GOOD, **bad})


@pytest.mark.parametrize("groups", [2, np.int64(2)], ids=["int", "NumPy's"])
def test_good_arguments_are_taken(groups):
    assert masked_conv2d(**{**GOOD, "groups": groups}).shape == (2, 6, 4, 4)


def test_each_operator_names_itself():
    with pytest.raises(ValueError, match=r"^masked_conv1d: argument 'input' must be of shape \[N, I, L\]"):
        masked_conv1d(torch.randn(3), torch.randn(1, 1, 1), p=0.1, seed=0)
    with pytest.raises(ValueError, match=r"^masked_conv3d: argument 'input' must be of shape \[N, I, D, H, W\]"):
        masked_conv3d(torch.randn(3), torch.randn(1, 1, 1, 1, 1), p=0.1, seed=0)
    with pytest.raises(ValueError, match=r"^masked_linear: argument 'input' must be of 4 channels"):
        masked_linear(torch.randn(2, 3), torch.randn(5, 4), p=0.1, seed=0)
    with pytest.raises(ValueError, match=r"^masked_linear: argument 'input' must be of at least one dimension"):
        masked_linear(torch.tensor(1.0), torch.randn(5, 4), p=0.1, seed=0)
    with pytest.raises(ValueError, match=r"^masked_linear: argument 'input' must be \[N, I\].*per_example"):
        masked_linear(torch.randn(2, 3, 4), torch.randn(5, 4), p=0.1, seed=0, per_example=True)


def test_native_operator_checks_for_itself():
    """Called past the Python layer, nothing crashes."""
    good = (X, W, B, torch.tensor(1), None, 0.3, 0, True, False, 0, [1, 1], [0, 0, 0, 0], [1, 1], 2)
    operator = torch.ops.bayesops.masked_conv
    assert operator(*good).shape == (2, 6, 4, 4)
    for at, value in [
        (0, X[0]), (0, X.long()), (0, X[:, :3]), (0, X[None]), (0, X[..., :1]), (1, W.double()), (1, W[0]), (2, B[:1]),
        (3, torch.tensor(1.0)), (3, torch.zeros(1, 2, dtype=torch.int64)), (4, W), (4, W[0] > 0), (5, 1.0), (5, -0.1),
        (5, float("nan")), (6, 5), (6, -1), (9, -1), (9, 2**32), (10, [1]), (10, [0, 1]), (11, [0, 0]),
        (11, [-1, 0, 0, 0]), (12, [0, 1]), (13, 0), (13, 4), (10, [1, 2**31]), (11, [0, 0, 2**61, 0]),
        (11, [2**31 - 1] * 4), (12, [2**30, 1]), (12, [2**62, 1]),
    ]:  # fmt: skip
        arguments = list(good)
        arguments[at] = value
        with pytest.raises(RuntimeError, match="masked_conv"):
            operator(*arguments)


@pytest.mark.parametrize("shape", [(2**45, 1), (2**61, 1)], ids=["more than there is", "more than there are addresses"])
def test_says_what_could_not_be_allocated(shape):
    """`bayesops.predict` looks for these words."""
    input = torch.zeros(1, 1).expand(shape)
    size = str(2**45 * 16) if shape[0] == 2**45 else r"more than 2\^63"
    message = rf"a tensor of shape \[{shape[0]}, 4\], float32, {size} bytes, could not be allocated on the CPU"
    with pytest.raises(RuntimeError, match=message):
        masked_linear(input, torch.zeros(4, 1), p=0.3, seed=1)


LITTLE_MEMORY = """
import resource, sys, torch
from bayesops import ops

torch.set_num_threads(int(sys.argv[1]))
images, weight = torch.zeros(1, 64, 400, 400), torch.zeros(64, 64, 3, 3)
ops.masked_conv2d(images[..., :9, :9], weight, p=0.3, seed=1)  # threads and small buffers are there
with open("/proc/self/statm") as sizes:
    used = int(sizes.read().split()[0]) * resource.getpagesize()
output = 64 * 400 * 400 * 4
resource.setrlimit(resource.RLIMIT_AS, (used + output + 2**22,) * 2)
ops.masked_conv2d(images, weight, p=0.3, seed=1, dilation=80, padding=80)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="address space is counted on Linux only")
@pytest.mark.parametrize("threads", [1, 2])
def test_says_that_work_space_could_not_be_allocated(threads):
    """Also where another thread than the caller's asks for it."""
    command = [sys.executable, "-c", LITTLE_MEMORY, str(threads)]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1, result.stderr
    assert re.search(r"RuntimeError: .*work space .*could not be allocated", result.stderr), result.stderr
