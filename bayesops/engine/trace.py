"""What a model computes, as a graph of `torch.fx`, where its draws can be planned ahead."""

import dataclasses
import operator

import torch
from torch import fx, nn
from torch.nn import functional
from torch.nn.modules import module as torch_modules

from bayesops.engine.state import has_hooks, is_patched, is_users
from bayesops.engine.tracer import IN_PLACE_OPERATORS, RANDOM, NoPlan, symbolic_trace
from bayesops.nn._stochastic import Stochastic

# Position and default of the argument that switches a function of these on.
_TRAINING = {
    functional.alpha_dropout: (2, False), functional.dropout: (2, True), functional.dropout1d: (2, True),
    functional.dropout2d: (2, True), functional.dropout3d: (2, True), functional.feature_alpha_dropout: (2, False),
    functional.rrelu: (3, False),
}  # fmt: skip
_RANDOM_MODULES = (nn.modules.dropout._DropoutNd, nn.RReLU)
# They read how a tensor lies in memory, which the engine chooses.
_LAYOUT = {"as_strided", "as_strided_", "data_ptr", "is_contiguous", "numpy", "stride", "storage_offset", "tolist"}

# They may return their argument itself, or a view of it.
_VIEW_MODULES = (nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd)
# They return a new tensor, never a view of an argument (where they are not told to overwrite it).
_NEW_TENSORS = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.matmul, operator.pow, torch.add,
    torch.sub, torch.mul, torch.div, torch.cat, torch.stack, torch.matmul, torch.bmm, torch.relu, torch.sigmoid,
    torch.tanh, torch.exp, torch.log, torch.sqrt, torch.square, torch.abs, torch.softmax, torch.log_softmax,
    functional.relu, functional.relu6, functional.elu, functional.gelu, functional.leaky_relu, functional.silu,
    functional.softplus, functional.sigmoid, functional.tanh, functional.softmax, functional.log_softmax,
    functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d, functional.linear, functional.conv1d,
    functional.conv2d, functional.conv3d, functional.layer_norm, functional.interpolate, functional.pad,
    functional.scaled_dot_product_attention, functional.batch_norm, functional.group_norm, torch.einsum, torch.mean,
    torch.sum, torch.clamp, torch.where, torch.pow, *IN_PLACE_OPERATORS,
}  # fmt: skip
_NEW_TENSOR_METHODS = {
    "add", "sub", "mul", "div", "matmul", "relu", "sigmoid", "tanh", "exp", "log", "sqrt", "square", "softmax",
    "log_softmax", "mean", "sum", "clone", "clamp", "neg", "abs", "pow", "amax", "amin", "bmm", "masked_fill", "var",
    "std",
}  # fmt: skip
_VIEW_METHODS = {
    "view", "reshape", "flatten", "transpose", "permute", "squeeze", "unsqueeze", "contiguous", "t", "movedim", "to",
    "float",
}  # fmt: skip
_VIEWS = {
    torch.flatten, torch.reshape, torch.transpose, torch.permute, torch.squeeze, torch.unsqueeze, torch.movedim,
    functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d,  # off: see `_check_node`
}  # fmt: skip
_ARITHMETIC = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
}  # fmt: skip
_SIZE_METHODS = {"size", "dim", "ndimension", "numel", "nelement"}


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
    if module.training and (isinstance(module, _RANDOM_MODULES) or _drops_by_itself(module)):
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
        if name in RANDOM and _is_switched_on(node):
            raise NoPlan(f"{name} draws from torch's generator")
        if name in _LAYOUT:
            raise NoPlan(f"{name} reads how a tensor lies in memory")
    if is_in_place(node, modules) and not _may_overwrite(node, modules):
        raise NoPlan(f"{name} overwrites what may be used elsewhere")


def _is_switched_on(node: fx.Node) -> bool:
    if node.target is functional.scaled_dot_product_attention:
        return bool(node.kwargs.get("dropout_p", node.args[4] if len(node.args) > 4 else 0.0))
    if node.op != "call_function" or node.target not in _TRAINING:
        return True
    position, default = _TRAINING[node.target]
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
        return node.target in IN_PLACE_OPERATORS or name.endswith("_") or bool(node.kwargs.get("inplace"))
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
        return not isinstance(module, _VIEW_MODULES) or _is_seen_once(node.all_input_nodes[0], modules)
    if node.target in _NEW_TENSORS or (node.op == "call_method" and node.target in _NEW_TENSOR_METHODS):
        return True
    is_view = node.target in _VIEWS or (node.op == "call_method" and node.target in _VIEW_METHODS)
    source = node.args[0] if node.args else None
    return is_view and isinstance(source, fx.Node) and _is_seen_once(source, modules)


def _is_number(node: fx.Node) -> bool:
    """Whether `node` is a size, or is computed from sizes: those cannot be overwritten."""
    if node.op == "call_method":
        return node.target in _SIZE_METHODS
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim")
    of_numbers = node.target is operator.getitem or node.target in _ARITHMETIC or node.target in IN_PLACE_OPERATORS
    return node.op == "call_function" and of_numbers and all(map(_is_number, node.all_input_nodes))
