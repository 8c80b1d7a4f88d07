"""Convolutions and linear layers whose weights are switched off at random: the Bernoulli operators.

A draw of the layer is a plain convolution with the weight ``weight * mask``, divided by ``1 - p`` if `rescale`. The
mask is a function of the seed, so neither it nor the masked weight is kept for the backward pass: both are made again
(on the CPU while the weights are packed; on CUDA a kernel writes the masked weights). Anyone can draw the mask again
with `bayesops.random.bernoulli_mask`.

Source: Gal and Ghahramani, "Bayesian convolutional neural networks with Bernoulli approximate variational inference",
2016, section 3, equation 5 (``W = M diag(z)``, ``z ~ Bernoulli``); the mask may also switch single weights, whole
windows or output channels. A mask for each training point (`per_example`): Kendall and Gal, "What uncertainties do we
need in Bayesian deep learning for computer vision?", 2017, section 2.1.
"""

import torch
from torch import Tensor

from bayesops._arguments import (
    Seed,
    check_floating,
    check_probability,
    check_stream,
    seed_tensor,
    wrong_choice,
    wrong_type,
    wrong_value,
)
from bayesops.ops import _masked_conv_rules  # noqa: F401  registers fake, autograd, vmap and autocast
from bayesops.ops._arguments import check_mask
from bayesops.ops._conv_arguments import (
    IntPerDim,
    Padding,
    check_input_shape,
    check_shape,
    check_weight,
    flatten_rows,
    has_rows_per_sample,
    unflatten_rows,
    window,
)
from bayesops.ops._dispatch import call
from bayesops.ops._epilogue import Epilogue, check_epilogue, flatten_residual

GRANULARITIES = {"weight": 0, "kernel": 1, "in_channel": 2, "out_channel": 3, "channel": 4}

_operator = torch.ops.bayesops.masked_conv.default
_fused_operator = torch.ops.bayesops.masked_conv_fused.default


def masked_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    p: float,
    seed: Seed,
    mask: Tensor | None = None,
    granularity: str = "weight",
    rescale: bool = True,
    per_example: bool = False,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """2-d convolution with a randomly masked weight, one draw or S draws at once.

    Parameters
    ----------
    input : Tensor
        ``[N, I, H, W]``, shared by all draws, or ``[S, N, I, H, W]``, one for each draw. NCHW or channels-last.
    weight : Tensor
        ``[O, I / groups, kH, kW]``.
    bias : Tensor, optional
        ``[O]``; it is not masked.
    p : float
        Probability of dropping, in [0, 1).
    seed : int or int64 Tensor
        ``[]`` for one draw, ``[S]`` for S draws. May be None where `mask` is given.
    mask : bool Tensor, optional
        True where kept. The user's own mask in place of a draw, of the granularity's shape: ``[O, I / groups, kH,
        kW]``, ``[O, I / groups]``, ``[I]``, ``[O]`` or (input channels first) ``[I + O]``; before it ``[N]`` if
        `per_example`, and before that ``[S]`` for one mask per draw.
    granularity : {"weight", "kernel", "in_channel", "out_channel", "channel"}
        What one random bit switches: one weight, the window of one input-output pair, an input channel, an output
        channel, or (``"channel"``) channels on both sides. A channel that is switched off is not computed.
    rescale : bool
        Divide the masked weight by the probability that it is kept, so that its mean is `weight`: by ``1 - p``, or
        ``(1 - p)**2`` where its channel may be off on both sides.
    per_example : bool
        A mask for each of the N examples, in place of one for the batch.
    stream : int
        Which layer: draws of different streams are independent. In [0, 2**32).
    stride, padding, dilation, groups
        As in `torch.nn.functional.conv2d`.

    Returns
    -------
    Tensor
        ``[N, O, H', W']``, or ``[S, N, O, H', W']`` where `seed` is ``[S]``; channels-last where `input` is.

    Raises
    ------
    ValueError
        A shape that does not fit, `p` outside [0, 1), an unknown granularity.
    TypeError
        A dtype that is not float32, float64, bfloat16 (float16 on CUDA), or differs between input, weight and bias; a
        mask that is not bool; a seed that is not int64.
    RuntimeError
        Tensors on different devices.

    Examples
    --------
    >>> x, w = torch.randn(8, 3, 32, 32), torch.randn(16, 3, 3, 3)
    >>> seeds = bo.random.sample_seeds(0, 100)
    >>> bo.ops.masked_conv2d(x, w, p=0.2, seed=seeds, padding=1).shape
    torch.Size([100, 8, 16, 32, 32])
    """
    return _masked_conv(
        "masked_conv2d", 2, input, weight, bias, p, seed, mask, granularity, rescale, per_example, stream,
        stride, padding, dilation, groups,
    )  # fmt: skip


def masked_conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    p: float,
    seed: Seed,
    mask: Tensor | None = None,
    granularity: str = "weight",
    rescale: bool = True,
    per_example: bool = False,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """1-d convolution with a randomly masked weight; arguments and errors as in `masked_conv2d`.

    `input` is ``[N, I, L]`` or ``[S, N, I, L]``, `weight` ``[O, I / groups, k]``, the result ``[N, O, L']`` or
    ``[S, N, O, L']``.
    """
    return _masked_conv(
        "masked_conv1d", 1, input, weight, bias, p, seed, mask, granularity, rescale, per_example, stream,
        stride, padding, dilation, groups,
    )  # fmt: skip


def masked_conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    p: float,
    seed: Seed,
    mask: Tensor | None = None,
    granularity: str = "weight",
    rescale: bool = True,
    per_example: bool = False,
    stream: int = 0,
    stride: IntPerDim = 1,
    padding: Padding = 0,
    dilation: IntPerDim = 1,
    groups: int = 1,
) -> Tensor:
    """3-d convolution with a randomly masked weight; arguments and errors as in `masked_conv2d`.

    `input` is ``[N, I, D, H, W]`` or ``[S, N, I, D, H, W]``, `weight` ``[O, I / groups, kD, kH, kW]``, the result
    ``[N, O, D', H', W']`` or ``[S, N, O, D', H', W']``.
    """
    return _masked_conv(
        "masked_conv3d", 3, input, weight, bias, p, seed, mask, granularity, rescale, per_example, stream,
        stride, padding, dilation, groups,
    )  # fmt: skip


def masked_linear(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    p: float,
    seed: Seed,
    mask: Tensor | None = None,
    granularity: str = "weight",
    rescale: bool = True,
    per_example: bool = False,
    stream: int = 0,
) -> Tensor:
    """Linear map with a randomly masked weight; arguments and errors as in `masked_conv2d`.

    Parameters
    ----------
    input : Tensor
        ``[*, I]`` with any number of leading dimensions, as in torch, shared by all draws. Where `seed` is ``[S]``, an
        input of three or more dimensions is ``[S, *, I]``: one for each draw. With `per_example` exactly ``[N, I]``, or
        ``[S, N, I]``.
    weight : Tensor
        ``[O, I]``. The granularities ``"weight"`` and ``"kernel"`` are the same here, up to the name.
    bias : Tensor, optional
        ``[O]``.

    Returns
    -------
    Tensor
        ``[*, O]``, or ``[S, *, O]`` where `seed` is ``[S]``.
    """
    return _masked_linear(
        "masked_linear", input, weight, bias, p, seed, mask, granularity, rescale, per_example, stream
    )


def _masked_linear(
    operator: str,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    p: float,
    seed: Seed,
    mask: Tensor | None,
    granularity: str,
    rescale: bool,
    per_example: bool,
    stream: int,
    epilogue: Epilogue | None = None,
) -> Tensor:
    """Make rows of the input's leading dimensions, and of those of the epilogue's residual."""
    check_floating(operator, "input", input)
    per_sample = has_rows_per_sample(input, seed)
    if seed is None and mask is not None and isinstance(mask, Tensor):
        base_dims = 2 if granularity in ("weight", "kernel") else 1
        per_sample = input.dim() >= 3 and mask.dim() == base_dims + per_example + 1
    rows, leading = flatten_rows(operator, input, per_sample)
    if per_example and leading is not None:
        wanted = "[N, I] or [S, N, I] where per_example is true"
        wrong_value(operator, "input", wanted, f"shape {tuple(input.shape)}")
    output = _masked_conv(
        operator, 0, rows, weight, bias, p, seed, mask, granularity, rescale, per_example, stream, 1, 0, 1, 1,
        flatten_residual(operator, epilogue, leading),
    )  # fmt: skip
    return unflatten_rows(output, leading)


def _masked_conv(
    operator: str,
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    p: float,
    seed: Seed,
    mask: Tensor | None,
    granularity: str,
    rescale: bool,
    per_example: bool,
    stream: int,
    stride: IntPerDim,
    padding: Padding,
    dilation: IntPerDim,
    groups: int,
    epilogue: Epilogue | None = None,
) -> Tensor:
    """Check, bring the arguments into the compiled operator's form, and call it."""
    p = check_probability(operator, p)
    check_stream(operator, stream)
    code = GRANULARITIES.get(granularity, -1)
    if code < 0:
        wrong_choice(operator, "granularity", GRANULARITIES, granularity)
    check_floating(operator, "input", input)
    groups = check_weight(operator, "weight", dims, weight, input, groups)
    if bias is not None:
        check_shape(operator, "bias", bias, weight.shape[:1], input)
    stride, padding, dilation = window(operator, dims, input, weight, stride, padding, dilation)
    if mask is None:
        if seed is None:
            wrong_type(operator, "seed", "an int or an int64 tensor where no mask is given", "None")
        seed = seed_tensor(operator, seed, input.device)
    else:
        seed = _check_mask_and_seed(operator, dims, input, weight, mask, seed, code, per_example, groups)
        mask = mask.contiguous()
    check_input_shape(operator, dims, input, seed, weight.shape[1] * groups)
    arguments = (
        input, weight, bias, seed, mask, p, code, rescale, per_example, stream, stride, padding, dilation, groups,
    )  # fmt: skip
    if epilogue is None:
        return call(_operator, *arguments)
    check_epilogue(operator, epilogue, input, weight, seed, stride, padding, dilation)
    return call(_fused_operator, *arguments, *epilogue)


def _check_mask_and_seed(
    operator: str,
    dims: int,
    input: Tensor,
    weight: Tensor,
    mask: Tensor,
    seed: Seed,
    granularity: int,
    per_example: bool,
    groups: int,
) -> Tensor:
    """Check the mask; return the seed, of which only the shape is used, or one made from the mask's shape."""
    inputs, outputs = weight.shape[1] * groups, weight.shape[0]
    base = (tuple(weight.shape), tuple(weight.shape[:2]), (inputs,), (outputs,), (inputs + outputs,))[granularity]
    if per_example:
        if input.dim() < dims + 2:
            check_input_shape(operator, dims, input, torch.zeros((), dtype=torch.int64), weight.shape[1] * groups)
        base = (input.shape[-dims - 2], *base)
    if seed is not None:
        seed = seed_tensor(operator, seed, input.device)
    check_mask(operator, mask, input.device, base, seed)
    if seed is not None:
        return seed
    samples = mask.shape[:1] if mask.dim() > len(base) else ()
    return torch.zeros(samples, dtype=torch.int64, device=input.device)
