"""The operators with an epilogue in plain PyTorch: the convolution or draw, then one operation after another."""

from typing import Any

import torch
from torch import Tensor

from bayesops import random
from bayesops.ops._epilogue import Epilogue
from bayesops.reference.flipout_conv import flipout_conv
from bayesops.reference.lrt_conv import lrt_conv
from bayesops.reference.masked_conv import masked_conv
from bayesops.reference.sampled_conv import sampled_conv


def masked_conv_fused(input: Tensor, weight: Tensor, *args: Any, epilogue: Epilogue, **options: Any) -> Tensor:
    """`bayesops.ops.fused.masked_conv_fused`."""
    return finish(masked_conv(input, weight, *args, **options), epilogue, weight.dim() - 2)


def sampled_conv_fused(input: Tensor, weight_mu: Tensor, *args: Any, epilogue: Epilogue, **options: Any) -> Tensor:
    """`bayesops.ops.fused.sampled_conv_fused`."""
    return finish(sampled_conv(input, weight_mu, *args, **options), epilogue, weight_mu.dim() - 2)


def flipout_conv_fused(input: Tensor, weight_mu: Tensor, *args: Any, epilogue: Epilogue, **options: Any) -> Tensor:
    """`bayesops.ops.fused.flipout_conv_fused`."""
    return finish(flipout_conv(input, weight_mu, *args, **options), epilogue, weight_mu.dim() - 2)


def lrt_conv_fused(input: Tensor, weight_mu: Tensor, *args: Any, epilogue: Epilogue, **options: Any) -> Tensor:
    """`bayesops.ops.fused.lrt_conv_fused`."""
    return finish(lrt_conv(input, weight_mu, *args, **options), epilogue, weight_mu.dim() - 2)


def lrt_draw(mean: Tensor, std: Tensor, *, epilogue: Epilogue, seed: int | Tensor, stream: int = 0) -> Tensor:
    """`bayesops.ops.fused.lrt_draw`."""
    seeds, (examples, channels, *space) = torch.as_tensor(seed, dtype=torch.int64), mean.shape
    noise = random.normal(seeds, (examples, *space, channels), stream).movedim(-1, seeds.dim() + 1)
    return finish(mean + std * noise.to(mean.dtype), epilogue, len(space))


def finish(result: Tensor, epilogue: Epilogue, spatial: int) -> Tensor:
    """``act(result * scale + shift + residual)`` of a result ``[N, O, *]`` or ``[S, N, O, *]``."""
    scale, shift, residual, relu = epilogue
    if scale is not None:
        result = result * scale.reshape(-1, *[1] * spatial)
    if shift is not None:
        result = result + shift.reshape(-1, *[1] * spatial)
    if residual is not None:
        result = result + residual
    return result.relu() if relu else result
