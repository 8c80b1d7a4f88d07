"""Dropout whose mask is a function of the seed: nothing is stored, and every draw can be made again.

Source: Gal and Ghahramani, "Dropout as a Bayesian approximation: representing model uncertainty in deep learning", ICML
2016 (dropout that stays on at prediction); Tompson et al., "Efficient object localization using convolutional
networks", CVPR 2015 (whole channels).
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
from bayesops.ops import _dropout_rules  # noqa: F401  registers fake, autograd and vmap
from bayesops.ops._arguments import check_mask
from bayesops.ops._dispatch import call

GRANULARITIES = {"element": 0, "channel": 1}

_operator = torch.ops.bayesops.dropout.default


def dropout(
    input: Tensor,
    *,
    p: float,
    seed: Seed,
    granularity: str = "element",
    mask: Tensor | None = None,
    stream: int = 0,
    shared_input: bool = False,
) -> Tensor:
    """Set elements or channels to zero with probability `p` and scale the rest by ``1 / (1 - p)``.

    Parameters
    ----------
    input : Tensor
        ``[N, C, *]`` with any number of further dimensions. Where `seed` is ``[S]``: ``[S, N, C, *]``, one for each
        draw, or ``[N, C, *]`` with `shared_input`.
    p : float
        Probability of dropping, in [0, 1).
    seed : int or int64 Tensor
        ``[]`` for one draw, ``[S]`` for S draws. May be None where `mask` is given.
    granularity : {"element", "channel"}
        What one random bit switches.
    mask : bool Tensor, optional
        True where kept, in place of a draw: ``[N, C, *]`` for elements, ``[N, C]`` for channels; before it ``[S]`` for
        one mask per draw.
    stream : int
        Which layer: draws of different streams are independent. In [0, 2**32).
    shared_input : bool
        All S draws start from one ``[N, C, *]``. (Its shape alone cannot tell, since any number of dimensions is
        taken.)

    Returns
    -------
    Tensor
        Of the input's shape; ``[S, *input.shape]`` with `shared_input`. The draw's elements are counted in the order
        ``(n, *, c)``, channels last, whatever the memory format.

    Raises
    ------
    ValueError
        `p` outside [0, 1), an unknown granularity, a shape that does not fit.
    TypeError
        An input that is not floating, a mask that is not bool, a seed that is not int64.
    RuntimeError
        Tensors on different devices.

    Examples
    --------
    >>> bo.ops.dropout(torch.ones(2, 3), p=0.5, seed=0)  # the same at every call
    """
    operator = "dropout"
    p = check_probability(operator, p)
    check_stream(operator, stream)
    code = GRANULARITIES.get(granularity, -1)
    if code < 0:
        wrong_choice(operator, "granularity", GRANULARITIES, granularity)
    check_floating(operator, "input", input)
    if seed is None and mask is None:
        wrong_type(operator, "seed", "an int or an int64 tensor where no mask is given", "None")
    if seed is None and isinstance(mask, Tensor):
        base_dims = 2 if code else input.dim()
        seed = torch.zeros(mask.shape[: mask.dim() > base_dims], dtype=torch.int64, device=input.device)
    seed = seed_tensor(operator, seed, input.device)
    per_sample = seed.dim() == 1 and not shared_input
    if input.dim() < 2 + per_sample:
        wanted = "of shape [S, N, C, *] (or [N, C, *] with shared_input=True)" if per_sample else "of shape [N, C, *]"
        wrong_value(operator, "input", wanted, f"shape {tuple(input.shape)}")
    if per_sample and input.shape[0] != seed.shape[0]:
        wanted = f"of first dimension {seed.shape[0]}, the number of seeds (or shared_input must be true)"
        wrong_value(operator, "input", wanted, f"shape {tuple(input.shape)}")
    if mask is not None:
        examples = input.shape[per_sample:]
        check_mask(operator, mask, input.device, examples[:2] if code else examples, seed)
        mask = mask.contiguous()
    return call(_operator, input, seed, mask, p, code, stream, shared_input and seed.dim() == 1)
