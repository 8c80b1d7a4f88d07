"""How the convolutions with an epilogue behave: fake tensors, no derivatives, autocast.

They take the arguments of the plain operator, then those of the epilogue, and are made for prediction alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bayesops.ops import _lrt_conv_rules, _masked_conv_rules, _sampled_conv_rules
from bayesops.ops._dispatch import refuse_autograd, register_autocast
from bayesops.ops._epilogue import Epilogue

_EPILOGUE_ARGUMENTS = len(Epilogue._fields)


def _register(family: str, plain_fake: Callable[..., Tensor], *, float16: bool = True) -> None:
    fused = getattr(torch.ops.bayesops, f"{family}_fused").default
    torch.library.register_fake(fused, lambda *args: plain_fake(*args[:-_EPILOGUE_ARGUMENTS]))
    refuse_autograd(fused)
    register_autocast(fused, float16=float16)


_register("masked_conv", _masked_conv_rules._fake_forward)
_register("sampled_conv", _sampled_conv_rules._fake_forward)
_register("flipout_conv", _sampled_conv_rules._fake_forward)
_register("lrt_conv", _lrt_conv_rules._fake_forward, float16=False)
