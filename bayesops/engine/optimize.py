"""A model made ready for prediction: batch normalisation, shortcuts and relu move into the layers before them."""

import copy
import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bayesops._arguments import check_count, wrong_type, wrong_value
from bayesops.engine.fusion import find_foldings, find_fusions, folded
from bayesops.engine.trace import target_name, trace
from bayesops.engine.tracer import Constant, NoPlan
from bayesops.nn._stochastic import Stochastic
from bayesops.nn.fused import Fused


def optimize(model: nn.Module, num_inputs: int = 1) -> nn.Module:
    """Copy `model` for prediction, with less to do and the same draws.

    Batch normalisation is folded: into the weights of plain convolutions, and after Bayesian layers into the pass that
    computes them, where relu and the sum of a residual block go, too. (A distribution of weights is not changed: its
    mean would be scaled by γ/σ and its variance by (γ/σ)², which the scale of the result does.)
    `bayesops.predict` does the same by itself; this is for other ways to run a model.

    Parameters
    ----------
    model : Module
        In ``eval`` mode; stays as it is. `torch.fx` must be able to trace it.
    num_inputs : int
        How many arguments its forward function will be given; others keep their defaults.

    Returns
    -------
    Module
        A `torch.fx.GraphModule`, in ``eval`` mode, with parameters of its own. It does not follow later changes of
        `model`.

    Raises
    ------
    ValueError
        A model that cannot be traced, or is in training mode.
    TypeError
        Something else than a Module.

    Examples
    --------
    >>> fast = bo.optimize(model.eval())
    >>> with torch.no_grad(), bo.sampling(seed=0):
    ...     fast(images)  # as model(images), up to rounding
    """
    if not isinstance(model, nn.Module):
        wrong_type("optimize", "model", "a Module", type(model).__name__)
    if model.training:
        wrong_value("optimize", "model", "in eval mode", "training mode")
    num_inputs = check_count("optimize", "num_inputs", num_inputs)
    clone = copy.deepcopy(model)
    if isinstance(clone, Stochastic):  # a layer by itself: in a graph it needs a name
        clone = nn.Sequential(clone).eval()
    try:
        graph = trace(clone, num_inputs)
    except NoPlan as reason:
        wrong_value("optimize", "model", "a model that torch.fx can trace", str(reason))
    modules = dict(clone.named_modules(remove_duplicate=False))
    with torch.no_grad():
        _fuse_bayesian_layers(graph, modules)
        _fold_convolutions(graph, modules)
    named: dict[str, Any] = {name: module for name, module in modules.items() if name}
    named |= _tensors(graph, clone)
    graph.lint()
    return fx.GraphModule(named, graph, type(model).__name__).eval()


def _fuse_bayesian_layers(graph: fx.Graph, modules: dict[str, nn.Module]) -> None:
    fusions = find_fusions(list(graph.nodes), modules)
    for number, (node, fusion) in enumerate(fusions.items()):
        scale, shift = (None, None) if fusion.batch_norm is None else folded(modules[target_name(fusion.batch_norm)])
        layer = modules[target_name(node)]
        assert isinstance(layer, Stochastic)
        name = f"fused_{number}_{target_name(node).replace('.', '_')}"  # a layer may be used in several places
        modules[name] = Fused(layer, scale, shift, fusion.relu)
        with graph.inserting_before(node):
            residual = () if fusion.residual is None else (fusion.residual,)
            fused = graph.call_module(name, (*node.args, *residual))
        fusion.last.replace_all_uses_with(fused)
        for gone in reversed((node, *fusion.absorbed)):
            graph.erase_node(gone)


def _fold_convolutions(graph: fx.Graph, modules: dict[str, nn.Module]) -> None:
    for node, layer in find_foldings(list(graph.nodes), modules).items():
        convolution: Any = modules[target_name(layer)]
        norm: Any = modules[target_name(node)]
        # Behind a linear layer of [N, L, O] it normalises L, and what the input will be is not known here.
        if isinstance(convolution, nn.Linear) or _is_used_again(layer):
            continue
        modules[target_name(layer)] = fuse_conv_bn_eval(convolution, norm)
        node.replace_all_uses_with(layer)
        graph.erase_node(node)


def _tensors(graph: fx.Graph, model: nn.Module) -> dict[str, Any]:
    """Return the parameters, buffers and constants that `graph` reads, by the names that it has for them."""
    named: dict[str, Any] = {}
    for node in list(graph.nodes):
        if isinstance(node.target, Constant):
            name = f"constant_{len(named)}"
            with graph.inserting_before(node):
                named[name] = node.target()
                node.replace_all_uses_with(graph.create_node("get_attr", name))
            graph.erase_node(node)
        elif node.op == "get_attr":
            named[target_name(node)] = operator.attrgetter(target_name(node))(model)
    return named


def _is_used_again(node: fx.Node) -> bool:
    """Whether the layer that `node` calls is called elsewhere as well, so that it must stay as it is."""
    return sum(other.op == "call_module" and other.target == node.target for other in node.graph.nodes) > 1
