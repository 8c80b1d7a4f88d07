"""How the convolutions with an epilogue behave: fake tensors, no derivatives, autocast, CUDA.

They take the arguments of the plain operator, then those of the epilogue, and are made for prediction alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch._ops import OpOverload

from bayesops.ops import (
    _gaussian_composite,
    _lrt_conv_rules,
    _masked_conv_composite,
    _masked_conv_rules,
    _sampled_conv_rules,
)
from bayesops.ops._dispatch import refuse_autograd, register_autocast
from bayesops.ops._epilogue import Epilogue

_EPILOGUE_ARGUMENTS = len(Epilogue._fields)


def fused_fake(plain_fake: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the shape rule of the form with an epilogue: that of the plain operator."""
    return lambda *args: plain_fake(*args[:-_EPILOGUE_ARGUMENTS])


# What CUDA runs; they take the arguments of the plain operator as well.
_COMPOSITES: dict[str, Callable[..., Tensor]] = {
    "masked_conv": _masked_conv_composite.masked_conv,
    "sampled_conv": _gaussian_composite.sampled_conv,
    "flipout_conv": _gaussian_composite.flipout_conv,
    "lrt_conv": _gaussian_composite.lrt_conv,
}


def fused_composite(plain: OpOverload) -> Callable[..., Tensor]:
    """Return what CUDA runs as the form with an epilogue: the library's convolution, and one pass for what follows."""
    return _COMPOSITES[plain._opname]


def _register(family: str, plain_fake: Callable[..., Tensor], *, float16: bool = True) -> None:
    plain, fused = (getattr(torch.ops.bayesops, name).default for name in (family, f"{family}_fused"))
    torch.library.register_fake(fused, fused_fake(plain_fake))
    refuse_autograd(fused)
    register_autocast(fused, float16=float16)
    torch.library.impl(f"bayesops::{family}_fused", "cuda", fused_composite(plain))


_register("masked_conv", _masked_conv_rules._fake_forward)
_register("sampled_conv", _sampled_conv_rules._fake_forward)
_register("flipout_conv", _sampled_conv_rules._fake_forward)
_register("lrt_conv", _lrt_conv_rules._fake_forward, float16=False)
