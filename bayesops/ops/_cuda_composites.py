"""What runs on CUDA in place of a kernel: each operator that Python implements there, by its name.

All other operators have kernels in ``csrc/cuda``, which the composites are made of, with convolutions of the library's
own.
"""

from collections.abc import Callable
from typing import Any

import torch

from bayesops.ops import _gaussian_composite, _lrt_draw_rules, _masked_conv_composite

COMPOSITES: dict[str, Callable[..., Any]] = {
    "masked_conv": _masked_conv_composite.masked_conv,
    "masked_conv_fused": _masked_conv_composite.masked_conv,  # with the parts of an epilogue, as all whose names end so
    "masked_conv_input_grad": _masked_conv_composite.masked_conv_input_grad,
    "masked_conv_weight_grad": _masked_conv_composite.masked_conv_weight_grad,
    "sampled_conv": _gaussian_composite.sampled_conv,
    "sampled_conv_fused": _gaussian_composite.sampled_conv,
    "sampled_conv_input_grad": _gaussian_composite.sampled_conv_input_grad,
    "sampled_conv_weight_grad": _gaussian_composite.sampled_conv_weight_grad,
    "flipout_conv": _gaussian_composite.flipout_conv,
    "flipout_conv_fused": _gaussian_composite.flipout_conv,
    "flipout_conv_input_grad": _gaussian_composite.flipout_conv_input_grad,
    "flipout_conv_weight_grad": _gaussian_composite.flipout_conv_weight_grad,
    "lrt_conv": _gaussian_composite.lrt_conv,
    "lrt_conv_fused": _gaussian_composite.lrt_conv,
    "lrt_conv_std": _gaussian_composite.lrt_conv_std,
    "lrt_conv_input_grad": _gaussian_composite.lrt_conv_input_grad,
    "lrt_conv_weight_grad": _gaussian_composite.lrt_conv_weight_grad,
    "lrt_draw": _lrt_draw_rules.lrt_draw,
}

for _operator, _composite in COMPOSITES.items():
    torch.library.impl(f"bayesops::{_operator}", "cuda", _composite)
