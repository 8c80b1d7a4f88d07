"""Max pooling with the activation after it, for prediction.

An activation that never falls may be taken before or after the pooling: max(f(a), f(b)) = f(max(a, b)). After it there
is a fraction of the elements left to take it of.
"""

import torch
from torch import Tensor

from bayesops._arguments import check_floating, wrong_choice, wrong_type, wrong_value
from bayesops.ops._arguments import per_dim
from bayesops.ops._dispatch import call
from bayesops.ops._max_pool_rules import pooled_size

ACTIVATIONS = {"none": 0, "relu": 1, "softplus": 2}

_operator = torch.ops.bayesops.max_pool2d_activation.default


def max_pool2d(
    input: Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    ceil_mode: bool = False,
    activation: str = "none",
) -> Tensor:
    """Take the greatest element of every window, and an activation of it: ``activation(F.max_pool2d(input, ...))``.

    Parameters
    ----------
    input : Tensor
        Images ``[N, C, H, W]``, or one of them ``[C, H, W]``. Only N may be zero.
    kernel_size : int or tuple of two ints
        Of the window: height, width.
    stride : int or tuple of two ints, optional
        From window to window; `kernel_size` by default.
    padding : int or tuple of two ints
        How far windows begin outside the image, at most half of `kernel_size`. What is outside counts as minus
        infinity.
    ceil_mode : bool
        Take a last window that reaches over the end of the padded image, too, if it begins inside the image or the
        padding before it.
    activation : {"none", "relu", "softplus"}
        ``"softplus"`` is torch's with ``beta=1`` and ``threshold=20``.

    Returns
    -------
    Tensor
        ``[N, C, OH, OW]`` (or ``[C, OH, OW]``) in the input's memory format. A window that holds NaN gives NaN. Without
        an activation, and with relu, the elements are torch's bit by bit, signs of zeros included (with relu those of
        torch on the CPU); softplus is within four roundings.

    Raises
    ------
    ValueError
        A size or stride below 1, a padding below 0 or of more than half the window, an unknown activation, an input of
        another shape or too small for a single window.
    TypeError
        An input that is not floating, sizes that are not ints.
    RuntimeError
        An input that requires a gradient where one would be recorded: there is none. Train with
        `torch.nn.functional.max_pool2d`.

    Notes
    -----
    Channels-last images take least time.

    Examples
    --------
    >>> with torch.no_grad():
    ...     y = bo.ops.max_pool2d(conv(x), 2, activation="relu")  # max_pool2d(relu(conv(x)), 2)
    """
    operator = "max_pool2d"
    check_floating(operator, "input", input)
    code = ACTIVATIONS.get(activation, -1)
    if code < 0:
        wrong_choice(operator, "activation", ACTIVATIONS, activation)
    if not isinstance(ceil_mode, bool):
        wrong_type(operator, "ceil_mode", "a bool", type(ceil_mode).__name__)
    window = per_dim(operator, "kernel_size", kernel_size, 2, 1)
    steps = window if stride is None else per_dim(operator, "stride", stride, 2, 1)
    pads = per_dim(operator, "padding", padding, 2, 0)
    if 2 * pads[0] > window[0] or 2 * pads[1] > window[1]:
        wrong_value(operator, "padding", f"at most half of the kernel size {tuple(window)}", padding)
    shape = input.shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        wrong_value(operator, "input", "of shape [N, C, H, W] or [C, H, W], only N zero", f"shape {tuple(shape)}")
    if min(pooled_size(shape[-2:], window, steps, pads, ceil_mode)) < 1:
        wanted = f"large enough for a window of {tuple(window)} with a padding of {tuple(pads)}"
        wrong_value(operator, "input", wanted, f"shape {tuple(shape)}")
    if input.requires_grad and torch.is_grad_enabled():
        raise RuntimeError(
            f"{operator}: argument 'input' requires a gradient, and there is none: call it under torch.no_grad(), or "
            "train with torch.nn.functional.max_pool2d"
        )
    return call(_operator, input, window, steps, pads, ceil_mode, code)
