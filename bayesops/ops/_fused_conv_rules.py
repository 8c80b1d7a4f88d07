"""How the convolutions with an epilogue behave: fake tensors, no derivatives, autocast, CUDA.

They take the arguments of the plain operator, then those of the epilogue, and are made for prediction alone.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from bayesops.ops import _lrt_conv_rules, _masked_conv_rules, _sampled_conv_rules
from bayesops.ops._dispatch import refuse_autograd, register_autocast
from bayesops.ops._epilogue import Epilogue, apply_epilogue
from bayesops.ops._layout import is_channels_last, with_layout

_EPILOGUE_ARGUMENTS = len(Epilogue._fields)


def fused_fake(plain_fake: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the shape rule of the form with an epilogue: that of the plain operator."""
    return lambda *args: plain_fake(*args[:-_EPILOGUE_ARGUMENTS])


def fused_composite(plain: OpOverload) -> Callable[..., Tensor]:
    """Return the form with an epilogue as the plain operator, and what follows in PyTorch's operations."""

    def composite(input: Tensor, weight: Tensor, *args: Any) -> Tensor:
        spatial, epilogue = weight.dim() - 2, Epilogue(*args[-_EPILOGUE_ARGUMENTS:])
        output = apply_epilogue(plain(input, weight, *args[:-_EPILOGUE_ARGUMENTS]), epilogue, spatial)
        return with_layout(output, spatial, is_channels_last(input, spatial))

    return composite


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
