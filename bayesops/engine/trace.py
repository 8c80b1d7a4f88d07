"""What a model computes, as a graph of `torch.fx`, where its draws can be planned ahead."""

import inspect
import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from bayesops.nn._stochastic import Stochastic
from bayesops.nn.fused import Fused

# These draw from torch's generator, where no seed of ours reaches.
_RANDOM = {
    "alpha_dropout", "bernoulli", "bernoulli_", "cauchy_", "dropout", "dropout1d", "dropout2d", "dropout3d",
    "exponential_", "feature_alpha_dropout", "feature_dropout", "geometric_", "gumbel_softmax", "log_normal_",
    "multinomial", "native_dropout", "normal", "normal_", "poisson", "rand", "rand_like", "randint", "randint_like",
    "randn", "randn_like", "random_", "randperm", "rrelu", "rrelu_", "uniform_",
}  # fmt: skip
# Position and default of the argument that switches a function of these on.
_TRAINING = {
    functional.alpha_dropout: (2, False), functional.dropout: (2, True), functional.dropout1d: (2, True),
    functional.dropout2d: (2, True), functional.dropout3d: (2, True), functional.feature_alpha_dropout: (2, False),
    functional.rrelu: (3, False),
}  # fmt: skip
_RANDOM_MODULES = (nn.modules.dropout._DropoutNd, nn.RReLU)
# They read how a tensor lies in memory, which the engine chooses.
_LAYOUT = {"as_strided", "as_strided_", "data_ptr", "is_contiguous", "numpy", "stride", "storage_offset", "tolist"}

IN_PLACE_OPERATORS = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}
# They may return their argument itself, or a view of it.
_VIEW_MODULES = (nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd)
# They return a new tensor, never a view of an argument.
_NEW_TENSORS = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, torch.add, torch.sub, torch.mul,
    torch.div, torch.cat, *IN_PLACE_OPERATORS,
}  # fmt: skip


class NoPlan(Exception):
    """A model whose draws cannot be planned ahead; the message says why."""


class _Tracer(fx.Tracer):
    """Goes into containers and the user's own modules; layers of torch and Bayesian ones are kept whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (Stochastic, Fused)) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module, inputs: int = 1) -> fx.Graph:
    """Return the graph of `model` for so many inputs; other parameters of its forward function keep their defaults.

    Raises
    ------
    NoPlan
        Where its Python code cannot be traced (control flow on the data), or does what a plan cannot repeat: random
        numbers of torch, hooks, a state that changes with each call, values overwritten that are used elsewhere.
    """
    modules = dict(model.named_modules())
    for name, module in modules.items():
        _check_module(name or type(model).__name__, module)
    defaults = _defaults(model, inputs)
    try:
        graph = _Tracer().trace(model, concrete_args=defaults or None)
    except Exception as error:  # tracing runs the user's code, which may fail in any way
        raise NoPlan(f"torch.fx: {first_line(error)}") from error
    for node in [node for node in graph.nodes if node.op == "placeholder"][inputs:]:
        _erase(graph, node)
    for node in graph.nodes:
        _check_node(node, modules)
    return graph


def _defaults(model: nn.Module, inputs: int) -> dict[str, Any]:
    """Return the defaults of the parameters that are left when `inputs` have been given."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        raise NoPlan("its forward function takes *args")
    left = parameters[inputs:]
    required = [parameter.name for parameter in left if parameter.default is parameter.empty]
    if len(parameters) < inputs or required:
        raise NoPlan(f"{inputs} inputs were given, and its forward function takes {len(parameters)}")
    return {parameter.name: parameter.default for parameter in left}


def _erase(graph: fx.Graph, node: fx.Node) -> None:
    """Remove an argument that has its default, and the assertions that `torch.fx` makes about it."""
    for user in list(node.users):
        _erase(graph, user)
    graph.erase_node(node)


def fingerprint(model: nn.Module) -> tuple[Any, ...]:
    """Return what a graph depends on, besides the code: the same, and the graph of before still holds."""
    marks: list[Any] = []
    _mark(model, "", marks)
    return tuple(marks)


def _mark(module: nn.Module, name: str, marks: list[Any]) -> None:
    """Append the marks of `module` and of the modules in it, but for those of a Bayesian layer, a leaf of the graph."""
    marks.append((name, type(module), module.training, has_hooks(module)))
    if isinstance(module, Stochastic):
        marks.append((module._uses_mean, module._frozen is None, getattr(module, "estimator", None)))
        return
    if not type(module).__module__.startswith("torch.nn"):  # its forward pass was gone through
        marks.append(tuple(item for item in vars(module).items() if _is_plain(item[1])))
    for child_name, child in module._modules.items():
        if child is not None:
            _mark(child, f"{name}.{child_name}", marks)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def first_line(error: BaseException) -> str:
    """Name the kind of `error` and the first line of its message."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def has_hooks(module: nn.Module) -> bool:
    """Whether something of the user's runs when `module` is called."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )  # fmt: skip


def _check_module(name: str, module: nn.Module) -> None:
    if has_hooks(module):
        raise NoPlan(f"{name} has hooks")
    if module.training and isinstance(module, _RANDOM_MODULES):
        raise NoPlan(f"{name} ({type(module).__name__}) is in training mode")
    batch_norm = isinstance(module, nn.modules.batchnorm._NormBase) and not isinstance(
        module, nn.modules.instancenorm._InstanceNorm
    )
    if batch_norm and (module.training or module.running_mean is None):
        raise NoPlan(f"{name} ({type(module).__name__}) normalises by its batch")


def _check_node(node: fx.Node, modules: dict[str, nn.Module]) -> None:
    name = target_name(node)
    if node.op in ("call_function", "call_method"):
        if name in _RANDOM and _is_switched_on(node):
            raise NoPlan(f"{name} draws from torch's generator")
        if name in _LAYOUT:
            raise NoPlan(f"{name} reads how a tensor lies in memory")
    if is_in_place(node, modules) and not _may_overwrite(node, modules):
        raise NoPlan(f"{name} overwrites what may be used elsewhere")


def _is_switched_on(node: fx.Node) -> bool:
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
    if not isinstance(target, fx.Node) or len(target.users) != 1:
        return False
    if target.op == "call_module":
        return not isinstance(modules[target_name(target)], _VIEW_MODULES)
    return target.op == "call_function" and target.target in _NEW_TENSORS
