"""What a model computes, as a graph of `torch.fx`, where its draws can be planned ahead."""

import dataclasses
import operator

from torch import fx, nn
from torch.nn import functional
from torch.nn.modules import module as torch_modules

from bayesops.engine import torch_functions as known
from bayesops.engine.state import has_hooks, is_patched, is_users
from bayesops.engine.tracer import NoPlan, symbolic_trace
from bayesops.nn._stochastic import Stochastic


def trace(model: nn.Module, inputs: int = 1) -> fx.Graph:
    """Return the graph of `model` for so many inputs; other parameters of its forward function keep their defaults.

    Raises
    ------
    NoPlan
        Where its Python code cannot be traced (control flow on the data), or does what a plan cannot repeat: random
        numbers of torch, hooks, a state that changes with each call, values overwritten that are used elsewhere.
    """
    modules = dict(model.named_modules())
    if torch_modules._global_forward_hooks or torch_modules._global_forward_pre_hooks:
        raise NoPlan("there are hooks of all modules")
    for name, module in modules.items():
        _check_module(name or type(model).__name__, module)
    graph = symbolic_trace(model, inputs)
    for node in graph.nodes:
        _check_node(node, modules)
    return graph


def _check_module(name: str, module: nn.Module) -> None:
    if has_hooks(module):
        raise NoPlan(f"{name} has hooks")
    if is_patched(module) and (isinstance(module, Stochastic) or not is_users(module)):
        raise NoPlan(f"{name} has a forward function of its own")
    if module.training and (isinstance(module, known.RANDOM_MODULES) or _drops_by_itself(module)):
        raise NoPlan(f"{name} ({type(module).__name__}) is in training mode")
    if isinstance(module, (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)):
        raise NoPlan(f"{name} ({type(module).__name__}) draws from torch's generator")
    batch_norm = isinstance(module, nn.modules.batchnorm._NormBase) and not isinstance(
        module, nn.modules.instancenorm._InstanceNorm
    )
    if batch_norm and (module.training or module.running_mean is None):
        raise NoPlan(f"{name} ({type(module).__name__}) normalises by its batch")


def _drops_by_itself(module: nn.Module) -> bool:
    """Whether `module` is a recurrent or an attention layer of torch that drops without a layer for it."""
    rate = getattr(module, "dropout", None)
    return isinstance(module, (nn.RNNBase, nn.MultiheadAttention)) and isinstance(rate, float) and rate > 0


def _check_node(node: fx.Node, modules: dict[str, nn.Module]) -> None:
    name = target_name(node)
    if isinstance(node.target, type) and dataclasses.is_dataclass(node.target):
        raise NoPlan(f"it returns a dataclass, {name}")
    if node.op in ("call_function", "call_method"):
        if name in known.RANDOM and _is_switched_on(node):
            raise NoPlan(f"{name} draws from torch's generator")
        if name in known.LAYOUT:
            raise NoPlan(f"{name} reads how a tensor lies in memory")
    if is_in_place(node, modules) and not _may_overwrite(node, modules):
        raise NoPlan(f"{name} overwrites what may be used elsewhere")


def _is_switched_on(node: fx.Node) -> bool:
    if node.target is functional.scaled_dot_product_attention:
        return bool(node.kwargs.get("dropout_p", node.args[4] if len(node.args) > 4 else 0.0))
    if node.op != "call_function" or node.target not in known.TRAINING:
        return True
    position, default = known.TRAINING[node.target]
    by_position = node.args[position] if len(node.args) > position else default
    return bool(node.kwargs.get("training", by_position))


def target_name(node: fx.Node) -> str:
    """Name what `node` calls."""
    target = node.target
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def is_in_place(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether `node` overwrites its first argument."""
    name = target_name(node)
    if node.op == "call_module":
        return bool(getattr(modules[name], "inplace", False))
    if node.op == "call_method":
        return name.endswith("_") and not name.endswith("__")
    if node.op == "call_function":
        return node.target in known.IN_PLACE_OPERATORS or name.endswith("_") or bool(node.kwargs.get("inplace"))
    return False


def _may_overwrite(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether nobody else sees the tensor that `node` overwrites: it may then as well be left as it was."""
    target = node.args[0] if node.args else None
    return isinstance(target, fx.Node) and (_is_number(target) or _is_seen_once(target, modules))


def _is_seen_once(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether the tensor that `node` returns is new, or a view of one that nobody else sees, and is used once."""
    if len(node.users) != 1:
        return False
    if node.op == "call_module":
        module = modules[target_name(node)]
        return not isinstance(module, known.VIEW_MODULES) or _is_seen_once(node.all_input_nodes[0], modules)
    if node.target in known.NEW_TENSORS or (node.op == "call_method" and node.target in known.NEW_TENSOR_METHODS):
        return True
    is_view = node.target in known.VIEWS or (node.op == "call_method" and node.target in known.VIEW_METHODS)
    source = node.args[0] if node.args else None
    return is_view and isinstance(source, fx.Node) and _is_seen_once(source, modules)


def _is_number(node: fx.Node) -> bool:
    """Whether `node` is a size, or is computed from sizes: those cannot be overwritten."""
    if node.op == "call_method":
        return node.target in known.SIZE_METHODS
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim")
    of_numbers = (
        node.target is operator.getitem or node.target in known.ARITHMETIC or node.target in known.IN_PLACE_OPERATORS
    )
    return node.op == "call_function" and of_numbers and all(map(_is_number, node.all_input_nodes))
