"""The operators: compiled kernels behind plain functions. Use them in your own layers and training loops.

Every one takes its randomness as a `seed`, and works under autograd (any order), `torch.compile`, `torch.export`,
`torch.func.vmap` and autocast.
"""

from bayesops.ops import _gaussian_composite  # noqa: F401  registers the Gaussian convolutions for CUDA
from bayesops.ops.dropout import dropout
from bayesops.ops.masked_conv import masked_conv1d, masked_conv2d, masked_conv3d, masked_linear

__all__ = ["dropout", "masked_conv1d", "masked_conv2d", "masked_conv3d", "masked_linear"]
