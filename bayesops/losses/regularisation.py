"""The prior's part of the objective of a network whose weights are masked by Bernoulli draws."""

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from bayesops._arguments import check_count, check_number, wrong_type, wrong_value
from bayesops._dtypes import at_least_float32
from bayesops._sums import total
from bayesops.nn.bernoulli import BernoulliLayer

_PLAIN = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


def dropout_regularisation(
    model: nn.Module,
    num_data: int,
    *,
    plain_p: float | Mapping[str, float] | None = None,
    biases: bool = False,
    length_scale: float = 1.0,
    precision: float = 1.0,
) -> Tensor:
    r"""Compute the term that a normal prior of the weights adds to a mean negative log likelihood.

    .. math:: \sum_i \frac{(1 - p_i) \, l^2}{2 N \tau} \lVert \theta_i \rVert^2

    over the layers i, each with its own p; θ are the weights *when they are kept*, N is `num_data`, l `length_scale`
    and τ `precision`. What `rescale` divides belongs to θ: for a layer with ``rescale=True``, whose kept weights are
    ``weight / (1 - p)``, the term is ``‖weight‖² / (1 - p) · l² / 2Nτ``, and for one without it
    ``(1 - p) ‖weight‖² · l² / 2Nτ``. So two layers that draw from the same distribution have the same term. (With
    granularity ``"channel"`` two bits must both be kept: (1 − p)² stands for 1 − p.)

    Parameters
    ----------
    model : Module
        A model, or one layer. Its Bernoulli layers count (`bayesops.nn.BernoulliConv2d` and the like), wherever they
        are in it; a layer that is used in several places once.
    num_data : int
        N, the number of examples in the whole training set (not in the batch).
    plain_p : float or mapping of str to float, optional
        Let convolutions and linear layers of torch count, too: p of the dropout layer in front of each, which scales
        what it keeps (`torch.nn.Dropout` and `bayesops.nn.Dropout` do); 0 where there is none. A float is for all of
        them; a mapping names layers as in ``model.named_modules()``, and the others do not count. None: none does. A
        dropout layer has no weights of its own, and its place in the graph cannot be seen from here.
    biases : bool
        Add the biases of these layers, which are never masked: p = 0.
    length_scale : float
        l: the prior of each weight is normal with variance 1 / l².
    precision : float
        τ, for an objective that is 1 / τ of the negative log likelihood: half of the mean squared error stands for a
        Gaussian likelihood of variance 1 / τ. Leave it at 1 beside cross entropy, `gaussian_nll` or `laplace_nll`.

    Returns
    -------
    Tensor
        ``[]``, at least float32, on the first layer's device: to be added to the mean of the loss over the batch.

    Raises
    ------
    ValueError
        No layer that counts; `num_data` below 1, a p outside [0, 1), a scale or precision that is not above 0; a name
        in `plain_p` that is no plain layer's.
    TypeError
        A `model` that is no module; a p, a scale or precision that is no number.

    Notes
    -----
    Up to a constant the sum is −E_q[log p(w)] / Nτ: the part of KL(q ‖ prior) / N that depends on the weights, for
    masks whose p is fixed. Weight decay as optimisers have it is not the same: it knows no p.

    Source: Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML 2016, section 3; Gal, "Uncertainty in deep
    learning", 2016, section 3.2 (l and τ); Kendall and Gal, "What uncertainties do we need in Bayesian deep learning
    for computer vision?", NIPS 2017, equation 3 (l = τ = 1, weights only). Their masks are not rescaled. Gal, Hron and
    Kendall, "Concrete dropout", 2017, divide by 1 − p where dropout rescales, as it is done here.

    Examples
    --------
    >>> loss = cross_entropy(model(x), y) + bo.losses.dropout_regularisation(model, len(training_set))
    """
    name = "dropout_regularisation"
    if not isinstance(model, nn.Module):
        wrong_type(name, "model", "a torch.nn.Module", type(model).__name__)
    num_data = check_count(name, "num_data", num_data)
    for argument, value in (("length_scale", length_scale), ("precision", precision)):
        check_number(name, argument, value)
        if not value > 0:
            wrong_value(name, argument, "above 0", value)
    terms = []
    for layer, factor in _counted(model, _plain_probabilities(name, model, plain_p)):
        terms.append(factor * _squares(layer.weight))
        if biases and layer.bias is not None:
            terms.append(_squares(layer.bias))
    if not terms:
        wanted = "one with Bernoulli layers (bayesops.nn.Bernoulli...), or plain ones and 'plain_p'"
        wrong_value(name, "model", wanted, type(model).__name__)
    total = torch.stack([term.to(terms[0].device) for term in terms]).sum()
    return total * (length_scale**2 / (2 * num_data * precision))


def _plain_probabilities(name: str, model: nn.Module, plain_p: Any) -> dict[nn.Module, float]:
    """Layers of torch that count, and p of each."""
    if plain_p is None:
        return {}
    modules = dict(model.named_modules(remove_duplicate=False))
    plain = {key: module for key, module in modules.items() if isinstance(module, _PLAIN)}
    if not isinstance(plain_p, Mapping):
        plain_p = dict.fromkeys(plain, plain_p)
    for key, p in plain_p.items():
        if key not in plain:
            got = f"{key!r}, which is a {type(modules[key]).__name__}" if key in modules else repr(key)
            wrong_value(name, "plain_p", "by names of convolutions and linear layers of torch", got)
        if not isinstance(p, Real):
            wrong_type(name, "plain_p", "a number in [0, 1), numbers by names of layers, or None", type(p).__name__)
        if not 0 <= float(p) < 1:
            wrong_value(name, "plain_p", "in [0, 1), probabilities of dropping", p)
    return {plain[key]: float(p) for key, p in plain_p.items()}


def _counted(model: nn.Module, plain: dict[nn.Module, float]) -> Iterator[tuple[Any, float]]:
    """Layers that count, and for each E[w²] / weight²."""
    for module in model.modules():
        if isinstance(module, BernoulliLayer):
            kept = (1 - module.p) ** (2 if module.granularity == "channel" else 1)
            yield module, 1 / kept if module.rescale else kept
        elif module in plain:
            yield module, 1 / (1 - plain[module])


def _squares(parameter: Tensor) -> Tensor:
    return total(at_least_float32(parameter).square())
