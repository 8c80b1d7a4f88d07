"""Every bad argument is refused with a message that names the operator, the argument, what came and what was wanted."""

import numpy as np
import pytest
import torch

from bayesops import ops

pytestmark = pytest.mark.cpu_only  # arguments are checked before a device is met

X, MU, SPREAD = torch.randn(2, 4, 6, 6), torch.randn(6, 2, 3, 3), torch.rand(6, 2, 3, 3)
BIAS, BIAS_SPREAD = torch.randn(6), torch.rand(6)
SEEDS = torch.arange(3)

# For all three estimators; "spread" stands for rho or var.
BAD = {
    "seed none": ({"seed": None}, TypeError, r"'seed' must be an int or an int64 tensor.*got None"),
    "seed float": ({"seed": 0.5}, TypeError, r"'seed' must be .*got float"),
    "seed dtype": ({"seed": SEEDS.int()}, TypeError, r"'seed'.*int64.*got torch.int32"),
    "seed shape": ({"seed": SEEDS.view(1, 3)}, ValueError, r"'seed' must be .*\[S\], got shape \(1, 3\)"),
    "seed large": ({"seed": 2**64}, ValueError, r"'seed' must be an int of 64 bits"),
    "stream": ({"stream": -1}, ValueError, r"'stream' must be in \[0, 2\*\*32\), got -1"),
    "stream type": ({"stream": 1.0}, TypeError, r"'stream' must be an int, got float"),
    "input type": ({"input": [1.0]}, TypeError, r"'input' must be a tensor, got list"),
    "input dtype": ({"input": X.long()}, TypeError, r"'input' must be float32.*got torch.int64"),
    "input dims": ({"input": X[0, 0]}, ValueError, r"'input' must be of shape \[N, I, H, W\].*got shape \(6, 6\)"),
    "input samples": ({"input": X[None]}, ValueError, r"'input' must be of 4 dimensions.*seed must be \[S\]"),
    "input channels": ({"input": X[:, :3]}, ValueError, r"'input' must be of 4 channels.*got 3"),
    "input and seeds": (
        {"input": X.expand(2, 2, 4, 6, 6), "seed": SEEDS}, ValueError, r"'input' must be of first dimension 3"
    ),
    "input small": ({"input": X[..., :2]}, ValueError, r"'input' must be at least 3 long.*got 2"),
    "mu type": ({"weight_mu": None}, TypeError, r"'weight_mu' must be a tensor, got NoneType"),
    "mu dtype": ({"weight_mu": MU.double()}, TypeError, r"'weight_mu' must be of the input's dtype torch.float32"),
    "mu dims": ({"weight_mu": MU[..., 0]}, ValueError, r"'weight_mu' must be of shape \[O, I / groups, k0, k1\]"),
    "spread type": ({"weight_spread": 0.1}, TypeError, r"'weight_(rho|var)' must be a tensor, got float"),
    "spread dtype": ({"weight_spread": SPREAD.double()}, TypeError, r"'weight_(rho|var)' must be of the input's dtype"),
    "spread shape": (
        {"weight_spread": SPREAD[:, :1]}, ValueError,
        r"'weight_(rho|var)' must be of shape \(6, 2, 3, 3\), got shape \(6, 1, 3, 3\)",
    ),
    "bias shape": ({"bias_mu": BIAS[:5]}, ValueError, r"'bias_mu' must be of shape \(6,\), got shape \(5,\)"),
    "bias samples": ({"bias_mu": BIAS.expand(3, 6), "seed": SEEDS}, ValueError, r"'bias_mu' must be of shape \(6,\)"),
    "bias dtype": ({"bias_mu": BIAS.double()}, TypeError, r"'bias_mu' must be of the input's dtype"),
    "bias spread shape": ({"bias_spread": BIAS[:1]}, ValueError, r"'bias_(rho|var)' must be of shape \(6,\), got"),
    "bias spread dtype": ({"bias_spread": BIAS.double()}, TypeError, r"'bias_(rho|var)' must be of the input's dtype"),
    "bias spread alone": (
        {"bias_mu": None}, TypeError, r"'bias_mu' must be a tensor where 'bias_(rho|var)' is given, got None"
    ),
    "groups": ({"groups": 4}, ValueError, r"'groups' must be a positive divisor of the 6 output channels, got 4"),
    "groups type": ({"groups": 2.0}, TypeError, r"'groups' must be an int, got float"),
    "stride": ({"stride": 0}, ValueError, r"'stride' must be at least 1, got 0"),
    "stride large": ({"stride": 2**31}, ValueError, r"'stride' must be less than 2\*\*31, got 2147483648"),
    "dilation large": ({"dilation": 2**60}, ValueError, r"'dilation' must be less than 2\*\*31, got"),
    "padding large": ({"padding": (1, 2**61)}, ValueError, r"'padding' must be less than 2\*\*31, got \(1, "),
    "window large": ({"dilation": 2**30}, ValueError, r"'dilation' must be such that the window reaches over less"),
    "stride length": ({"stride": (1, 1, 1)}, ValueError, r"'stride' must be an int or a tuple of 2 ints"),
    "dilation": ({"dilation": (1, 0)}, ValueError, r"'dilation' must be at least 1"),
    "padding": ({"padding": -1}, ValueError, r"'padding' must be at least 0, got -1"),
    "padding word": ({"padding": "full"}, ValueError, r"'padding' must be .*'same' or 'valid', got 'full'"),
    "padding same": ({"padding": "same", "stride": 2}, ValueError, r"'padding' must be .*'same' needs stride 1"),
}  # fmt: skip


def arguments(estimator, **changes):
    spread = "var" if estimator.name == "lrt" else "rho"
    good = {
        "input": X, "weight_mu": MU, "weight_spread": SPREAD, "bias_mu": BIAS, "bias_spread": BIAS_SPREAD, "seed": 1,
        "groups": 2, **changes,
    }  # fmt: skip
    return {name.replace("spread", spread): value for name, value in good.items()}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_conv2d(estimator, case):
    bad, error, message = BAD[case]
    with pytest.raises(error, match=f"^{estimator.name}_conv2d: argument {message}"):
        getattr(ops, f"{estimator.name}_conv2d")(**arguments(estimator, **bad))


@pytest.mark.parametrize("groups", [2, np.int64(2)], ids=["int", "NumPy's"])
def test_good_arguments_are_taken(estimator, groups):
    assert getattr(ops, f"{estimator.name}_conv2d")(**arguments(estimator, groups=groups)).shape == (2, 6, 4, 4)


@pytest.mark.parametrize("estimator", ["sampled", "flipout"], indirect=True)
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({}, TypeError, r"'weight_rho' must be given, or else 'weight_log_alpha', got both"),
        ({"weight_log_alpha": None}, TypeError, r"'weight_rho' must be given, or else 'weight_log_alpha', got neither"),
        ({"weight_log_alpha": 0.1}, TypeError, r"'weight_log_alpha' must be a tensor, got float"),
        ({"weight_log_alpha": SPREAD.double()}, TypeError, r"'weight_log_alpha' must be of the input's dtype"),
        (
            {"weight_log_alpha": SPREAD[None]}, ValueError,
            r"'weight_log_alpha' must be of a shape that broadcasts to \(6, 2, 3, 3\), got shape \(1, 6, 2, 3, 3\)",
        ),
        ({"weight_log_alpha": BIAS}, ValueError, r"'weight_log_alpha' must be of a shape.*got shape \(6,\)"),
    ],
    ids=["both", "neither", "type", "dtype", "too many dims", "shape"],
)  # fmt: skip
def test_rho_or_alpha(estimator, bad, error, message):
    rho = SPREAD if not bad else None
    with pytest.raises(error, match=f"^{estimator.name}_conv2d: argument {message}"):
        getattr(ops, f"{estimator.name}_conv2d")(
            **arguments(estimator, weight_spread=rho, **{"weight_log_alpha": SPREAD, **bad})
        )


def test_each_operator_names_itself(estimator):
    for dims, space in ((1, "L"), (3, "D, H, W")):
        weight, name = torch.randn([1] * (dims + 2)), f"{estimator.name}_conv{dims}d"
        with pytest.raises(ValueError, match=rf"^{name}: argument 'input' must be of shape \[N, I, {space}\]"):
            getattr(ops, name)(torch.randn(3), weight, weight.square(), seed=0)
    name, weight = f"{estimator.name}_linear", torch.rand(5, 4)
    with pytest.raises(ValueError, match=f"^{name}: argument 'input' must be of 4 channels"):
        getattr(ops, name)(torch.randn(2, 3), weight, weight, seed=0)
    with pytest.raises(ValueError, match=f"^{name}: argument 'input' must be of at least one dimension"):
        getattr(ops, name)(torch.tensor(1.0), weight, weight, seed=0)


def test_native_operators_check_for_themselves(estimator):
    """Called past the Python layer, nothing crashes."""
    name = f"{estimator.name}_conv"
    bias = (BIAS, BIAS_SPREAD) if name == "lrt_conv" else (BIAS,)
    good = (X, MU, SPREAD, *bias, torch.tensor(1), 0, [1, 1], [0, 0, 0, 0], [1, 1], 2)
    operator, seed = getattr(torch.ops.bayesops, name), 3 + len(bias)
    assert operator(*good).shape == (2, 6, 4, 4)
    for at, value in [
        (0, X[0]), (0, X.long()), (0, X[:, :3]), (0, X[None]), (0, X[..., :1]), (1, MU.double()), (1, MU[0]),
        (2, SPREAD.double()), (2, SPREAD[:1]), (3, BIAS[:1]), (3, BIAS.double()), (seed - 1, BIAS[:1]),
        (seed, torch.tensor(1.0)), (seed, torch.zeros(1, 2, dtype=torch.int64)), (seed + 1, -1), (seed + 1, 2**32),
        (seed + 2, [1]), (seed + 2, [0, 1]), (seed + 3, [0, 0]), (seed + 3, [-1, 0, 0, 0]), (seed + 4, [0, 1]),
        (seed + 5, 0), (seed + 5, 4), (seed + 2, [1, 2**31]), (seed + 3, [0, 0, 2**61, 0]),
        (seed + 3, [2**31 - 1] * 4), (seed + 4, [2**30, 1]), (seed + 4, [2**62, 1]),
    ]:  # fmt: skip
        changed = list(good)
        changed[at] = value
        with pytest.raises(RuntimeError, match=name):
            operator(*changed)
