"""A trained deterministic network becomes a Bayesian one."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from bayesops.nn import BernoulliConv1d, BernoulliConv2d, BernoulliConv3d, BernoulliLinear
from bayesops.ops._arguments import wrong_type, wrong_value

Where = Callable[[str, nn.Module], bool] | str | type[nn.Module] | Iterable[str | type[nn.Module]] | None

_CONVOLUTIONS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    nn.Conv1d: BernoulliConv1d,
    nn.Conv2d: BernoulliConv2d,
    nn.Conv3d: BernoulliConv3d,
}
_CONVERTIBLE = (*_CONVOLUTIONS, nn.Linear)


def convert(
    model: nn.Module,
    posterior: str = "bernoulli",
    p: float = 0.5,
    granularity: str = "weight",
    rescale: bool = True,
    where: Where = None,
) -> nn.Module:
    """Copy `model` with its convolutions and linear layers made Bayesian.

    Weights, stride, padding, dilation, groups, bias, padding mode, device, dtype, ``requires_grad`` and the training
    mode are kept; parameters that were shared stay shared. Layers whose type is a subclass of a torch layer (with a
    forward pass of its own), and layers with hooks or parametrisations, are left alone.

    Parameters
    ----------
    model : Module
        Stays as it is.
    posterior : {"bernoulli"}
        The distribution over the weights: each weight (or window, or channel) is kept with probability ``1 - p``.
    p, granularity, rescale
        As in `bayesops.nn.BernoulliConv2d`.
    where : optional
        Which layers: a predicate of the layer's name and the layer, names as in ``model.named_modules()``, or types.
        None converts `torch.nn.Conv1d`, `Conv2d`, `Conv3d` and `Linear`.

    Returns
    -------
    Module
        The copy; a model that is itself one convertible layer gives the Bayesian layer.

    Raises
    ------
    ValueError
        An unknown posterior; a name in `where` that no module has, or whose module cannot be converted.
    TypeError
        A `where` of another kind.

    Notes
    -----
    Dropout layers stay torch's, off in ``eval``. With ``rescale=True`` the mean of the random weight is the trained
    weight.

    Source: Gal and Ghahramani, "Bayesian convolutional neural networks with Bernoulli approximate variational
    inference", 2016.
    """
    if posterior != "bernoulli":
        wrong_value("convert", "posterior", "'bernoulli'", repr(posterior))
    chosen = _selection(model, where)
    model = copy.deepcopy(model)
    replacements: dict[nn.Module, nn.Module] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if name in chosen:
            replacements[module] = _bernoulli_layer(module, p=p, granularity=granularity, rescale=rescale)
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in replacements:
                parent._modules[name] = replacements[child]
    return replacements.get(model, model)


def _selection(model: nn.Module, where: Where) -> set[str]:
    """Names of the modules to replace."""
    modules = dict(model.named_modules(remove_duplicate=False))
    convertible = {name for name, module in modules.items() if _is_convertible(module)}
    if where is None:
        return convertible
    if isinstance(where, (str, type)):
        where = [where]
    if callable(where):
        return {name for name in convertible if where(name, modules[name])}
    if not isinstance(where, Iterable):
        wrong_type("convert", "where", "a predicate, names or types", type(where).__name__)
    chosen: set[str] = set()
    for item in where:
        if isinstance(item, str):
            if item not in modules:
                wrong_value("convert", "where", "names of modules of the model", repr(item))
            if item not in convertible:
                wanted = f"names of plain layers ({', '.join(t.__name__ for t in _CONVERTIBLE)})"
                wrong_value("convert", "where", wanted, f"{item!r}, which is a {type(modules[item]).__name__}")
            chosen.add(item)
        elif isinstance(item, type):
            chosen |= {name for name in convertible if isinstance(modules[name], item)}
        else:
            wrong_type("convert", "where", "a predicate, names or types", repr(item))
    return chosen


def _is_convertible(module: nn.Module) -> bool:
    hooked = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return type(module) in _CONVERTIBLE and not hooked


def _bernoulli_layer(layer: Any, **options: Any) -> nn.Module:
    """Make the Bernoulli layer with the parameters (the very tensors) of `layer`."""
    bernoulli: Any
    with torch.device("meta"):  # no storage, no initialisation: the parameters come from `layer`
        if isinstance(layer, nn.Linear):
            bernoulli = BernoulliLinear(layer.in_features, layer.out_features, layer.bias is not None, **options)
        else:
            bernoulli = _CONVOLUTIONS[type(layer)](
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
                layer.groups, layer.bias is not None, layer.padding_mode, **options,
            )  # fmt: skip
    bernoulli.weight, bernoulli.bias = layer.weight, layer.bias
    return bernoulli.train(layer.training)
