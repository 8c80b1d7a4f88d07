"""A trained deterministic network becomes a Bayesian one."""

from dataclasses import fields
from typing import Any

from torch import nn

from bayesops._arguments import check_choice, wrong_type, wrong_value
from bayesops._messages import warn_user
from bayesops.convert._bernoulli import BernoulliPosterior
from bayesops.convert._copying import carried_over, copied_with
from bayesops.convert._gaussian import GaussianPosterior
from bayesops.convert._selection import CONVERTIBLE, Where, held_back, selection
from bayesops.nn._stochastic import Stochastic

__all__ = ["POSTERIORS", "convert"]

# The options of a posterior are the fields of its class, which are explained there.
POSTERIORS: dict[str, type[BernoulliPosterior] | type[GaussianPosterior]] = {
    "bernoulli": BernoulliPosterior,
    "gaussian": GaussianPosterior,
}


def convert(model: nn.Module, posterior: str = "bernoulli", *, where: Where = None, **options: Any) -> nn.Module:
    """Copy `model` with its convolutions and linear layers made Bayesian.

    Weights, stride, padding, dilation, groups, bias, padding mode, device, dtype, ``requires_grad`` and the training
    mode are kept, and attributes, buffers and modules that were added to a layer; parameters that were shared stay
    shared. Layers whose type is a subclass of a torch layer (with a forward pass of its own), whose ``forward`` was
    replaced, or that have hooks or parametrisations, are left alone.

    Parameters
    ----------
    model : Module
        Stays as it is.
    posterior : {"bernoulli", "gaussian"}
        The distribution over the weights. ``"bernoulli"``: each weight (or window, or channel) is kept with probability
        ``1 - p``. ``"gaussian"``: normal distributions around the trained weights, to be trained further or used as
        they are.
    where : optional
        Which layers: a predicate of the layer's name and the layer, names as in ``model.named_modules()`` (that of a
        container: all layers within), or types; ``"last"``: the layer that comes last there, which is the head of most
        networks (unless a module has that name). None converts `torch.nn.Conv1d`, `Conv2d`, `Conv3d` and `Linear`.

    Returns
    -------
    Module
        The copy; a model that is itself one convertible layer gives the Bayesian layer.

    Other Parameters
    ----------------
    p : float
        Option of ``"bernoulli"``, as are the two that follow: as in `bayesops.nn.BernoulliConv2d`. 0.5 unless given.
    granularity : str
        ``"weight"`` unless given.
    rescale : bool
        True unless given.
    delta : float
        Option of ``"gaussian"``, as are all that follow: the standard deviation of a weight in proportion to its
        magnitude, 0.1 unless given (MOPED: sigma = delta |w|).
    floor : float
        Smallest standard deviation, for weights at or near 0; 1e-4 unless given.
    prior, bias_prior : Prior or torch distribution
        As in `bayesops.nn.GaussianConv2d`.
    estimator, variance : str
        As in `bayesops.nn.GaussianConv2d`. With ``variance="alpha"`` log alpha is log delta² for every weight, and
        `floor` is for biases only.
    prior_at_weight : bool
        Put the mean of the prior, which must be a `bayesops.priors.Gaussian` (or None), at the trained weights, its
        standard deviation kept; False unless given.

    Raises
    ------
    ValueError
        An unknown posterior, or a value out of range; a name in `where` that no module has, or whose module cannot be
        converted; a model without any layer to convert (but an
        empty list as `where` asks for that, and a Bayesian model is one already).
    TypeError
        An option that the posterior does not have, a `where` of another kind, a model that is no module.

    Warns
    -----
    UserWarning
        Without `where`, of layers that are left alone because of hooks, parametrisations or a replaced ``forward``,
        with their names.

    Notes
    -----
    Dropout layers stay torch's, off in ``eval``. The mean of the random weight is the trained weight (for
    ``"bernoulli"`` with ``rescale=True``). Further options of the layers (`stream`, and `per_example` of Bernoulli
    ones) are attributes that may be set afterwards.

    Source: Gal and Ghahramani, "Bayesian convolutional neural networks with Bernoulli approximate variational
    inference", 2016; Krishnan, Subedar and Tickoo, "Specifying weight priors in Bayesian deep neural networks with
    empirical Bayes", AAAI 2020, section 3 (MOPED).

    Examples
    --------
    >>> bo.convert(trained, p=0.1)
    >>> bo.convert(trained, "gaussian", delta=0.05, prior_at_weight=True)
    """
    check_choice("convert", "posterior", posterior, POSTERIORS)
    known = [field.name for field in fields(POSTERIORS[posterior]) if field.init]
    for name in options:
        if name not in known:
            raise TypeError(
                f"convert: argument '{name}' is no option of posterior={posterior!r}, which has {', '.join(known)}"
            )
    make = POSTERIORS[posterior](**options)
    if not isinstance(model, nn.Module):
        wrong_type("convert", "model", "a torch.nn.Module", type(model).__name__)
    chosen = selection(model, where)
    draws = any(isinstance(module, Stochastic) for module in model.modules())
    if not chosen and not draws and where != []:
        layers = ", ".join(kind.__name__ for kind in CONVERTIBLE)
        limits = "no subclasses, no hooks, no replaced forward" + ("" if where is None else ", chosen by 'where'")
        wrong_value("convert", "model", f"one with layers to convert: {layers} ({limits})", type(model).__name__)
    left = held_back(model) if where is None and chosen else []
    if left:
        why = "their hooks, parametrisations or replaced forward"
        warn_user(f"convert: left as they are, because of {why}: {', '.join(left)}")
    found = (module for name, module in model.named_modules(remove_duplicate=False) if name in chosen)
    converted = copied_with(model, lambda plain: carried_over(plain, make.layer(plain)), found)
    for module in converted.modules():
        _keep_to_python(module)
    return converted


def _keep_to_python(module: nn.Module) -> None:
    """Switch off what torch's transformers do in eval mode: they take the weights, and call no layer."""
    if not any(isinstance(layer, Stochastic) for layer in module.modules()):
        return
    if isinstance(module, nn.TransformerEncoderLayer):
        module.activation_relu_or_gelu = 0  # which of its own kernels it may use; `activation` stays
    elif isinstance(module, nn.TransformerEncoder):
        module.use_nested_tensor = False
