"""What the operator tests share: convolution problems, memory layouts, and the rule by which errors are judged."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from bayesops import ops
from bayesops.ops._arguments import padding_pairs, per_dim
from bayesops.reference.flipout_conv import flipout_conv
from bayesops.reference.lrt_conv import lrt_conv
from bayesops.reference.sampled_conv import sampled_conv


@pytest.fixture(autouse=True)
def _on_each_device(device):
    """Every test here takes `device`."""


OPERATORS = {0: ops.masked_linear, 1: ops.masked_conv1d, 2: ops.masked_conv2d, 3: ops.masked_conv3d}


@dataclass(frozen=True)
class Problem:
    """A convolution: image ``[I, *]``, weight ``[O, I / groups, *]``, and the options of the public function."""

    image: tuple[int, ...]
    weight: tuple[int, ...]
    options: dict = field(default_factory=dict)

    @property
    def spatial(self):
        return len(self.weight) - 2

    @property
    def operator(self):
        return OPERATORS[self.spatial]

    def tensors(self, dtype=torch.float32, lead=(3,)):
        """Input ``[*lead, *image]``, weight and bias of `dtype`."""
        scale = 1 / math.sqrt(math.prod(self.weight[1:]))
        input = torch.randn(*lead, *self.image, dtype=torch.float64)
        weight = torch.randn(self.weight, dtype=torch.float64) * scale
        bias = torch.randn(self.weight[0], dtype=torch.float64)
        return input.to(dtype), weight.to(dtype), bias.to(dtype)

    def geometry(self):
        """Stride, padding, dilation and groups as the native operators take them."""
        stride = per_dim("", "stride", self.options.get("stride", 1), self.spatial, 1)
        dilation = per_dim("", "dilation", self.options.get("dilation", 1), self.spatial, 1)
        padding = padding_pairs("", self.options.get("padding", 0), self.weight[2:], stride, dilation)
        return stride, padding, dilation, self.options.get("groups", 1)


@dataclass(frozen=True)
class Estimator:
    """A family of Gaussian convolutions: its operators, and what they mean."""

    name: str
    reference: Callable

    def operator(self, problem):
        """Return the public function for `problem`."""
        return getattr(ops, f"{self.name}_conv{problem.spatial}d" if problem.spatial else f"{self.name}_linear")

    def tensors(self, problem, dtype=torch.float32, lead=(3,)):
        """Input, weight_mu, weight_rho, bias_mu and bias_rho; of local reparameterisation variances in rho's place."""
        input, weight_mu, bias_mu = problem.tensors(dtype, lead)
        weight_sigma = (0.2 + torch.rand(problem.weight, dtype=torch.float64)) / math.sqrt(
            math.prod(problem.weight[1:])
        )
        bias_sigma = 0.2 + torch.rand(problem.weight[0], dtype=torch.float64)
        spreads = [s.square() if self.name == "lrt" else s.expm1().log() for s in (weight_sigma, bias_sigma)]
        return input, weight_mu, spreads[0].to(dtype), bias_mu, spreads[1].to(dtype)


ESTIMATORS = {
    "sampled": Estimator("sampled", sampled_conv),
    "flipout": Estimator("flipout", flipout_conv),
    "lrt": Estimator("lrt", lrt_conv),
}


@pytest.fixture(params=ESTIMATORS, ids=str, scope="session")  # stateless: hypothesis asks for a wider scope
def estimator(request):
    return ESTIMATORS[request.param]


PROBLEMS = {
    "linear": Problem((37,), (19, 37)),
    "linear-one": Problem((1,), (1, 1)),
    "linear-wide": Problem((260,), (70, 260)),
    "1d": Problem((5, 23), (7, 5, 3), {"padding": 1}),
    "1d-stride": Problem((4, 31), (6, 2, 5), {"stride": 3, "dilation": 2, "groups": 2}),
    "1d-same-even": Problem((3, 12), (4, 3, 4), {"padding": "same", "dilation": 3}),
    "2d": Problem((3, 9, 11), (8, 3, 3, 3), {"padding": 1}),
    "2d-valid": Problem((6, 7, 8), (5, 6, 3, 2), {"padding": "valid"}),
    "2d-stride": Problem((4, 13, 10), (6, 4, 3, 5), {"stride": (2, 3), "padding": (1, 2)}),
    "2d-dilation": Problem((4, 14, 12), (6, 4, 3, 3), {"dilation": (2, 3), "padding": (2, 1)}),
    "2d-same-even": Problem((4, 8, 6), (5, 4, 4, 2), {"padding": "same", "dilation": (1, 3)}),
    "2d-pointwise": Problem((17, 6, 5), (33, 17, 1, 1)),
    "2d-groups": Problem((6, 9, 8), (8, 3, 3, 3), {"padding": 1, "groups": 2}),
    "2d-depthwise": Problem((20, 8, 7), (40, 1, 3, 3), {"padding": 1, "groups": 20}),
    "2d-blocks": Problem((48, 12, 15), (72, 48, 3, 3), {"padding": 1}),
    "2d-one-pixel": Problem((24, 3, 3), (18, 24, 3, 3)),
    "2d-all-options": Problem(
        (12, 15, 9), (9, 4, 3, 2), {"stride": (2, 1), "padding": (3, 1), "dilation": (1, 2), "groups": 3}
    ),
    "3d": Problem((3, 5, 6, 7), (4, 3, 3, 2, 3), {"padding": (1, 0, 1)}),
    "3d-all-options": Problem(
        (4, 7, 6, 8), (6, 2, 2, 3, 3), {"stride": (2, 1, 2), "padding": (1, 1, 0), "dilation": (2, 1, 1), "groups": 2}
    ),
}


@pytest.fixture(params=PROBLEMS, ids=str)
def problem(request):
    return PROBLEMS[request.param]


# For gradients alone: weights that are cut into blocks of input channels, and windows that do not overlap.
CUT_PROBLEMS = {
    "wide-linear": Problem((1100,), (40, 1100)),
    "wide-1d": Problem((300, 9), (20, 300, 2), {"stride": 2}),
    "wide-2d": Problem((100, 5, 6), (36, 100, 3, 3), {"padding": 1}),
    "patches-1d": Problem((3, 21), (40, 3, 7), {"stride": 7}),
    "patches-2d": Problem((3, 8, 12), (20, 3, 4, 4), {"stride": 4}),
    "patches-2d-groups": Problem((6, 9, 10), (8, 3, 3, 5), {"stride": (3, 5), "groups": 2}),
    "patches-2d-narrow": Problem((5, 4, 6), (40, 5, 2, 2), {"stride": 2}),
    "patches-2d-many-channels": Problem((40, 4, 4), (9, 40, 4, 4), {"stride": 4}),
    "patches-2d-left-over": Problem((3, 9, 12), (8, 3, 4, 4), {"stride": 4}),
    "patches-3d": Problem((2, 4, 6, 8), (12, 2, 2, 3, 4), {"stride": (2, 3, 4)}),
}


@pytest.fixture(params=CUT_PROBLEMS, ids=str)
def cut_problem(request):
    return CUT_PROBLEMS[request.param]


def _channels_last(images, spatial):
    channel = images.dim() - spatial - 1
    return images.movedim(channel, -1).contiguous().movedim(-1, channel)


def _strided(images, spatial):
    """A view whose elements are not neighbours: every other element of each dimension of a larger tensor."""
    large = images.new_zeros([2 * n + 1 for n in images.shape])
    view = large[tuple(slice(1, None, 2) for _ in images.shape)]
    view.copy_(images)
    return view


LAYOUTS = {
    "contiguous": lambda images, spatial: images.contiguous(),
    "channels_last": _channels_last,
    "strided": _strided,
}


@pytest.fixture(params=LAYOUTS, ids=str)
def layout(request):
    return LAYOUTS[request.param]


def _root_mean_square(values):
    return values.double().square().mean().sqrt().item()


def _assert_as_exact_as_torch(ours, plain, exact, by_library):
    """Our error against float64 is at most twice plain PyTorch's in the same dtype, plus two roundings of the result.

    Errors are root mean squares: the largest one of a few elements is a matter of luck. Where the library convolves for
    us, eight roundings: it chooses by shape how, for one of us perhaps by Winograd's algorithm, which is less exact.
    """
    assert ours.dtype == plain.dtype
    assert ours.shape == exact.shape
    if exact.numel() == 0:
        return
    error, size = _root_mean_square(ours.double() - exact), _root_mean_square(exact)
    chosen = by_library and ours.dtype in (torch.float32, torch.float64)
    rounding = (8 if chosen else 2) * torch.finfo(ours.dtype).eps * size
    if ours.dtype == torch.float64:  # `exact` is rounded as we are
        rounding *= 4
    allowed = 2 * _root_mean_square(plain.double() - exact) + rounding
    assert error <= allowed, f"error {error:.3g}, allowed {allowed:.3g}, size of the values {size:.3g}"
    # No single value is far off: 20 times the usual error would be a wrong value, not a rounding.
    largest = (ours.double() - exact).abs().max().item()
    assert largest <= 20 * allowed, f"largest error {largest:.3g}, usual error {error:.3g}"


@pytest.fixture
def assert_as_exact_as_torch(is_cuda_on_host):
    def check(ours, plain, exact):
        _assert_as_exact_as_torch(ours, plain, exact, by_library=ours.is_cuda or is_cuda_on_host)

    return check
