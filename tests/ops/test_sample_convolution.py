"""What reaches the library's own convolutions: one memory format, and nothing that is copied without need."""

import pytest
import torch
from torch.nn.functional import conv2d
from torch.utils._python_dispatch import TorchDispatchMode

from bayesops.ops import _masked_conv_composite as composite
from bayesops.ops import _sample_convolution
from bayesops.ops._layout import is_channels_last

pytestmark = pytest.mark.cpu_only

SEEDS = torch.tensor([3, -8, 21])
SHARING = ["one-draw", "shared-input", "input-per-sample", "each sample alone"]


class Calls(TorchDispatchMode):
    """Keeps the images, weights and incoming gradients of convolutions, and the sizes of what is copied."""

    def __init__(self):
        super().__init__()
        self.convolved, self.copied = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name == "convolve_samples":
            self.convolved += zip(*args[:2], strict=True)
        if name in ("convolution", "convolution_backward"):
            self.convolved.append([arg for arg in args[:3] if isinstance(arg, torch.Tensor)])
        elif name in ("clone", "copy_", "_to_copy", "contiguous"):
            self.copied.append(args[0].numel())
        return func(*args, **(kwargs or {}))


def problem(sharing, groups, channels_last, monkeypatch):
    if sharing == "each sample alone":
        monkeypatch.setattr(_sample_convolution, "ALONE_FROM", 0)
    seed = SEEDS[0] if sharing == "one-draw" else SEEDS
    lead = (2,) if sharing in ("one-draw", "shared-input") else (3, 2)
    input, weight = torch.randn(*lead, 8, 7, 5), torch.randn(12, 8 // groups, 3, 3)
    gradient = torch.randn(*seed.shape, 2, 12, 7, 5)
    if channels_last:
        input, gradient = (t.movedim(-3, -1).contiguous().movedim(-1, -3) for t in (input, gradient))
    return input, weight, seed, gradient, (0.3, 0, True, False, 5, [1, 1], [1, 1, 1, 1], [1, 1], groups)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("sharing", SHARING)
def test_all_have_the_format_of_the_images(sharing, groups, channels_last, monkeypatch):
    input, weight, seed, gradient, options = problem(sharing, groups, channels_last, monkeypatch)
    with Calls() as calls:
        composite.masked_conv(input, weight, None, seed, None, *options)
        composite.masked_conv_input_grad(gradient, weight, seed, None, list(input.shape), *options)
        composite.masked_conv_weight_grad(gradient, input, seed, None, list(weight.shape), *options)
    assert len(calls.convolved) == 3 * (len(seed) if sharing == "each sample alone" else 1)
    for call in calls.convolved:
        assert [is_channels_last(tensor, 2) for tensor in call] == [channels_last] * len(call)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("sharing", SHARING)
def test_copies(sharing, channels_last, monkeypatch):
    """Only samples that must stand side by side are copied, and those that stood so, once each way."""
    input, weight, seed, gradient, options = problem(sharing, 1, channels_last, monkeypatch)
    folded, wide = sharing == "input-per-sample", sharing == "shared-input"

    def copied(function, *arguments):
        with Calls() as calls:
            function(*arguments, *options)
        return sorted(calls.copied)

    of_input, of_output = [input.numel()] * folded, [gradient.numel()] * (folded or wide)
    assert copied(composite.masked_conv, input, weight, None, seed, None) == of_input + of_output
    arguments = gradient, weight, seed, None, list(input.shape)
    summed = [input.numel()] * (wide and channels_last)  # a sum over samples is contiguous, as on the CPU
    assert copied(composite.masked_conv_input_grad, *arguments) == of_input + summed + of_output
    arguments = gradient, input, seed, None, list(weight.shape)
    assert copied(composite.masked_conv_weight_grad, *arguments) == of_input + of_output


def test_padded_windows_of_one_pixel():
    """Which no product of matrices makes."""
    input, weights = torch.randn(3, 2, 5, 7, 8).movedim(-1, 2), torch.randn(3, 6, 8, 1, 1)
    geometry = _sample_convolution.Geometry([1, 1], [1, 1, 0, 0], [1, 1], 1)
    ours = _sample_convolution.convolve_in_groups(input, weights, geometry).flatten(2, 3)
    expected = [conv2d(images, weight, padding=(1, 0)) for images, weight in zip(input, weights, strict=True)]
    torch.testing.assert_close(ours, torch.stack(expected))


@pytest.mark.parametrize("channels_last", [False, True])
def test_samples_that_are_parts_are_read_where_they_are(channels_last, monkeypatch):
    input, weight, seed, _, options = problem("each sample alone", 1, channels_last, monkeypatch)
    larger = torch.cat([input, input], dim=1)
    with Calls() as calls:
        output = composite.masked_conv(larger[:, 1:3], weight, None, seed, None, *options)
    assert calls.copied == []
    torch.testing.assert_close(output, composite.masked_conv(input.flip(1), weight, None, seed, None, *options))
