"""What a detector in the output plane reads of a field, and what can be recovered of the field's sign."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bayesops.optical.quantisation import quantise

DETECTIONS = ("complex", "intensity")
SIGNS = ("lost", "split", "reference")
_EXPOSURE = (-3, -2, -1)  # channels and pixels of an example, which one setting of the detector serves


@dataclass(frozen=True)
class Detector:
    """How a field is read; the options are those of `bayesops.optical.FourierConv2d`."""

    detection: str = "complex"
    sign: str = "lost"
    noise: float = 0.0
    bits: int | None = None

    def read(self, fields: Sequence[Tensor], noise: Tensor | None) -> Tensor:
        """Return the signed result as it is read of one field, or of two for ``sign="split"``: ``[N, O, H', W']``.

        `noise` are standard normals, ``[exposures, N, O, H', W']``. Gradients are those of a detector without fault:
        the square root of a noisy intensity near 0 would have unbounded ones.
        """
        field, eps = fields[0], None if noise is None else noise[0]
        if self.detection == "complex":
            return _straight_through(field, self._measured(field, eps, signed=True))
        if self.sign == "lost":
            return _straight_through(field.abs(), self._amplitude(field, eps))
        if self.sign == "reference":
            wave = field.detach().abs().amax(_EXPOSURE, keepdim=True)  # so strong that the sum is nowhere negative
            return _straight_through(field, self._amplitude(field + wave, eps) - wave)
        negative = self._amplitude(fields[1], None if noise is None else noise[1])
        return _straight_through(field - fields[1], self._amplitude(field, eps) - negative)

    def _amplitude(self, field: Tensor, noise: Tensor | None) -> Tensor:
        return self._measured(field.square(), noise, signed=False).sqrt()

    def _measured(self, values: Tensor, noise: Tensor | None, signed: bool) -> Tensor:
        """Measure on a scale that ends at the largest value of each example."""
        values = values.detach()
        full = values.abs().amax(_EXPOSURE, keepdim=True)
        low = -full if signed else torch.zeros_like(full)
        return quantise(values if noise is None else values + self.noise * full * noise, self.bits, low, full)


def _straight_through(ideal: Tensor, read: Tensor) -> Tensor:
    return ideal + (read - ideal).detach()
