"""The 4f correlator: what a lens, a filter and a second lens do to an image.

Source: Goodman, "Introduction to Fourier Optics", 3rd edition, 2005, chapter 8 (the 4f system and its filters); Weaver
and Goodman, "A technique for optically convolving two functions", Applied Optics 5, 1966 (the joint transform
correlator, which shows the kernel as an image beside the input).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def correlate(images: Tensor, kernels: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int) -> Tensor:
    """Correlate by a product in the Fourier plane; fields of the input channels add up in the output plane.

    A lens transforms the image, the filter multiplies it by the conjugate of the kernel's transform, another lens
    transforms back. Where the kernel lies within the image nothing is wrapped around the edges: these pixels are kept.

    Parameters
    ----------
    images : Tensor
        ``[N, I, H, W]``, padded.
    kernels : Tensor
        ``[O, I / groups, kH, kW]``, or ``[N, O, I / groups, kH, kW]`` for one of each example.
    stride, dilation, groups
        As in `torch.nn.functional.conv2d`.

    Returns
    -------
    Tensor
        ``[N, O, H', W']``, what `torch.nn.functional.conv2d` returns up to rounding.
    """
    if len(images) == 0:  # nothing to transform, which some libraries take for an error
        shared = kernels.sum(0) if kernels.dim() == 5 else kernels
        return functional.conv2d(images, shared, None, stride, 0, dilation, groups)
    size = images.shape[-2:]
    kernels = _dilated(kernels, dilation)
    filters = torch.fft.rfft2(kernels, s=size).unflatten(-4, (groups, -1))
    spectra = torch.fft.rfft2(images).unflatten(1, (groups, -1))
    product = "ngiuv,ngoiuv->ngouv" if kernels.dim() == 5 else "ngiuv,goiuv->ngouv"
    field = torch.fft.irfft2(torch.einsum(product, spectra, filters.conj()).flatten(1, 2), s=size)
    rows, columns = (whole - reach + 1 for whole, reach in zip(size, kernels.shape[-2:], strict=True))
    return field[..., : rows : stride[0], : columns : stride[1]]


def _dilated(kernels: Tensor, dilation: Sequence[int]) -> Tensor:
    """Put ``dilation - 1`` zeros between neighbouring weights: ``[*, d (k - 1) + 1]`` in both directions."""
    height, width = kernels.shape[-2:]
    down, right = dilation
    spread = functional.pad(kernels[..., :, None, :, None], (0, right - 1, 0, 0, 0, down - 1))
    spread = spread.reshape(*kernels.shape[:-2], height * down, width * right)
    return spread[..., : down * (height - 1) + 1, : right * (width - 1) + 1]
