"""A convolution by an optical processor, simulated."""

import math
from numbers import Real
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from bayesops import random
from bayesops._arguments import as_int, check_choice, check_floating, wrong_type, wrong_value
from bayesops.nn.bernoulli import BernoulliConv2d
from bayesops.ops._arguments import check_like_input, check_mask
from bayesops.ops._epilogue import Epilogue, apply_epilogue
from bayesops.optical.correlator import correlate
from bayesops.optical.detector import DETECTIONS, SIGNS, Detector
from bayesops.optical.quantisation import quantise, value_range
from bayesops.reference.masked_conv import expand_mask, mask_shape

_MOST_BITS = 32
_EXAMPLE = (-3, -2, -1)  # dimensions of one example, and of one output channel's kernel
_KERNEL = (-4, -3, -2, -1)


class FourierConv2d(BernoulliConv2d):
    """2-d convolution computed as a product in the Fourier plane (a 4f correlator), with the faults of the optics.

    Without limits on bits and without noise it is `torch.nn.Conv2d` up to rounding; with ``p > 0`` it is
    `bayesops.nn.BernoulliConv2d`, with the same masks for the same seed and stream. Parameters are `weight` and `bias`;
    all arguments up to `dtype` are torch's.

    Parameters
    ----------
    input_bits, kernel_bits : int, optional
        Bits of the light modulators that show the input (over the range of each example) and the masked kernel (over
        the range of all its weights), in 1 to 32; None: no limit. Levels are evenly spaced and 0 is one of them.
        Gradients pass as if there were no rounding.
    detection : {"complex", "intensity"}
        What is read: the field itself, or as a camera does its squared magnitude, whose square root is the result.
    sign : {"lost", "split", "reference"}
        With ``detection="intensity"``, how to come by signs. ``"lost"``: not at all, the result is ``|field|``.
        ``"split"``: positive and negative weights are shown one after the other, each field is nowhere negative, and
        the two amplitudes are subtracted; an input with negative pixels is shown raised by the lowest of them, what
        that adds to the result is known and subtracted. ``"reference"``: a plane wave, as strong as the strongest
        field of the example, is added before the camera, and its amplitude subtracted afterwards: one reading, of
        which the sign takes half of the range.
    readout_noise : float
        Standard deviation of the noise of a reading, relative to the detector's full scale, which is the largest
        reading without noise in each example (of the intensity, or of the field's magnitude). Readings stay within the
        scale. Drawn in training *and* at prediction.
    readout_bits : int, optional
        Bits of a reading, over the full scale; None: no limit.
    p, granularity, rescale, per_example, stream
        Of the kernel's mask, as in `bayesops.nn.BernoulliConv2d`; nothing is dropped unless `p` is given.

    Raises
    ------
    ValueError
        A value out of range, a `sign` with ``detection="complex"``; an input smaller than the kernel.
    TypeError
        Bits that are no int, a noise that is no number.

    Notes
    -----
    Input ``[N, I, H, W]``, output ``[N, O, H', W']``. Fields of the input channels add up on the detector; the bias is
    added after it. Ranges and full scales are those of each example, so a result does not depend on the others of its
    batch. The noise is ``bayesops.random.normal(seed, (E, N, H', W', O), stream)`` with E = 2 readings for
    ``"split"`` and 1 otherwise: that of a place depends on its number in the batch. Its stream is the mask's, whose
    bits are of another domain. `use_mean` takes the mean kernel and a detector without noise, but keeps the bits.

    Gradients are those of optics without fault, at the input and kernel as they are shown. In half precision the
    optics are computed in float32.

    Source: Goodman, "Introduction to Fourier Optics", 3rd edition, 2005, chapter 8; Weaver and Goodman, "A technique
    for optically convolving two functions", Applied Optics 5, 1966.

    Examples
    --------
    >>> layer = bo.optical.FourierConv2d(1, 8, 5, input_bits=8, detection="intensity", sign="split", readout_noise=0.01)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        input_bits: int | None = None,
        kernel_bits: int | None = None,
        detection: str = "complex",
        sign: str = "lost",
        readout_noise: float = 0.0,
        readout_bits: int | None = None,
        p: float = 0.0,
        granularity: str = "weight",
        rescale: bool = True,
        per_example: bool = False,
        stream: int | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device,
            dtype, p=p, granularity=granularity, rescale=rescale, per_example=per_example, stream=stream,
        )  # fmt: skip
        self.input_bits = _check_bits("input_bits", input_bits)
        self.kernel_bits = _check_bits("kernel_bits", kernel_bits)
        self.detection = check_choice(_NAME, "detection", detection, DETECTIONS)
        self.sign = check_choice(_NAME, "sign", sign, SIGNS)
        if detection == "complex" and sign != "lost":
            wrong_value(_NAME, "sign", "left alone with detection='complex', which keeps the sign", repr(sign))
        self.readout_noise = _check_noise(readout_noise)
        self.readout_bits = _check_bits("readout_bits", readout_bits)

    def _convolve(self, input: Tensor, mask: Tensor | None, epilogue: Epilogue | None) -> Tensor:
        self._check_input(input)
        weight, noise = self._draw(input, mask)
        padded = functional.pad(
            input, self._reversed_padding_repeated_twice,
            mode="constant" if self.padding_mode == "zeros" else self.padding_mode,
        )  # fmt: skip
        self._check_size(padded)
        computed_in = torch.promote_types(input.dtype, torch.float32)
        output = self._optics(padded.to(computed_in), weight.to(computed_in), noise).to(input.dtype)
        if self.bias is not None:
            output = output + self.bias[:, None, None]
        return output if epilogue is None else apply_epilogue(output, epilogue, 2)

    def _draw(self, input: Tensor, mask: Tensor | None) -> tuple[Tensor, tuple[Tensor, int] | None]:
        """Return the kernel under its mask, and seed and stream of the noise (None where there is none)."""
        if self.uses_mean and mask is None:
            return self._mean_weight(), None
        shape = mask_shape(self.weight, self.granularity, self.groups)
        if self.per_example:
            shape = (len(input), *shape)
        noisy = self.readout_noise > 0 and not self.uses_mean
        drawn = self._draw_from(input.device) if mask is None or noisy else None
        of_noise = drawn if noisy else None
        if mask is not None:
            check_mask(_NAME, mask, input.device, shape, torch.zeros((), dtype=torch.int64))
            return self._masked(mask), of_noise
        if self.p == 0:
            return self.weight, of_noise
        assert drawn is not None
        return self._masked(random.bernoulli_mask(drawn[0], shape, self.p, drawn[1])), of_noise

    def _masked(self, mask: Tensor) -> Tensor:
        def spread(mask: Tensor) -> Tensor:
            return expand_mask(mask, self.weight, self.granularity, self.groups)

        masked = self.weight * (torch.vmap(spread)(mask) if self.per_example else spread(mask))
        kept = (1 - self.p) ** (2 if self.granularity == "channel" else 1)
        return masked / kept if self.rescale else masked

    def _optics(self, images: Tensor, kernels: Tensor, drawn: tuple[Tensor, int] | None) -> Tensor:
        """Show padded images and kernels, and read the field, once or (``sign="split"``) twice."""
        shown, raised = [kernels], None
        if self.sign == "split":
            raised, _ = value_range(images, _EXAMPLE)
            images = images - raised
            positive = kernels.clamp(min=0)
            shown = [positive, positive - kernels]  # in this form a weight of 0 has its gradient, too
        images = quantise(images, self.input_bits, *value_range(images, _EXAMPLE))
        shown = [quantise(kernel, self.kernel_bits, *value_range(kernel, _KERNEL)) for kernel in shown]
        fields = [correlate(images, kernel, self.stride, self.dilation, self.groups) for kernel in shown]
        noise = None
        if drawn is not None:
            (seed, stream), (examples, channels, *pixels) = drawn, fields[0].shape
            noise = random.normal(seed, (len(fields), examples, *pixels, channels), stream)
            noise = noise.movedim(-1, 2).to(images.dtype)
        detector = Detector(self.detection, self.sign, self.readout_noise, self.readout_bits)
        result = detector.read(fields, noise)
        if raised is None:
            return result
        # What the raised input has added: the same number in all pixels of an output channel.
        return result + raised * (shown[0] - shown[1]).sum(_EXAMPLE)[..., None, None]

    def _check_input(self, input: Tensor) -> None:
        check_floating(_NAME, "input", input)
        check_like_input(_NAME, "weight", self.weight, input)
        if input.dim() != 4 or input.shape[1] != self.in_channels:
            wrong_value(_NAME, "input", f"of shape [N, {self.in_channels}, H, W]", f"shape {tuple(input.shape)}")

    def _check_size(self, padded: Tensor) -> None:
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        if any(size < r for size, r in zip(padded.shape[-2:], reach, strict=True)):
            got = f"{tuple(padded.shape[-2:])} with its padding"
            wrong_value(_NAME, "input", f"at least as large as the kernel's reach, {tuple(reach)}", got)

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        optics = f", detection={self.detection!r}"
        if self.detection == "intensity":
            optics += f", sign={self.sign!r}"
        for name in ("input_bits", "kernel_bits", "readout_bits"):
            if getattr(self, name) is not None:
                optics += f", {name}={getattr(self, name)}"
        if self.readout_noise > 0:
            optics += f", readout_noise={self.readout_noise}"
        return super().extra_repr() + optics


_NAME = FourierConv2d.__name__


def _check_bits(argument: str, bits: int | None) -> int | None:
    if bits is None:
        return None
    if isinstance(bits, bool):
        wrong_type(_NAME, argument, "an int or None", "bool")
    bits = as_int(_NAME, argument, "an int or None", bits)
    if not 1 <= bits <= _MOST_BITS:
        wrong_value(_NAME, argument, f"in 1 to {_MOST_BITS}, or None", bits)
    return bits


def _check_noise(noise: float) -> float:
    if not isinstance(noise, Real):
        wrong_type(_NAME, "readout_noise", "a number", type(noise).__name__)
    if not 0 <= noise < math.inf:
        wrong_value(_NAME, "readout_noise", "finite and at least 0", noise)
    return float(noise)
