"""What is known of the nodes of a graph: which of them differ between draws, and what they do to leading dimensions."""

import operator
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

import torch
from torch import fx, nn
from torch.nn import functional

from bayesops.engine import torch_functions as known
from bayesops.engine.trace import target_name
from bayesops.nn import bernoulli, gaussian
from bayesops.nn._stochastic import Stochastic
from bayesops.nn.dropout import Dropout
from bayesops.nn.fused import Fused


class Way(Enum):
    """How a node takes all draws at once."""

    DRAW = auto()  # a Bayesian layer that takes a seed for each draw
    FUSED = auto()  # the same with what follows it, see `optimize`
    DROPOUT = auto()
    STACKWISE = auto()  # treats all leading dimensions alike
    BATCHWISE = auto()  # treats the first dimension as a batch
    PASSED = auto()  # gives what it takes
    MAPPED = auto()  # nothing is known of it


class Kind(NamedTuple):
    """A way, and the numbers of dimensions of one draw for which it holds (of a drawing layer: spatial ones)."""

    way: Way
    dims: tuple[int, ...] = ()


# Exact types: a subclass may do something else.
_DRAWING: dict[type, int] = {
    getattr(module, f"{family}{kind}"): dims
    for module, family in ((bernoulli, "Bernoulli"), (gaussian, "Gaussian"))
    for kind, dims in (("Linear", 0), ("Conv1d", 1), ("Conv2d", 2), ("Conv3d", 3))
}


def module_of(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    """Return the layer that `node` calls, or None."""
    return modules[target_name(node)] if node.op == "call_module" else None


def is_drawing(module: nn.Module | None) -> bool:
    """Whether `module` is a Bayesian layer that draws when called."""
    if type(module) is Fused:
        module = module.layer
    return isinstance(module, Stochastic) and not module.uses_mean


def draws_outputs(module: nn.Module | None) -> bool:
    """Whether `module` draws its outputs from their means and deviations: local reparameterisation."""
    if type(module) is Fused:
        module = module.layer
    return isinstance(module, gaussian.GaussianLayer) and module.estimator == "local_reparam"


def sampled(order: Sequence[fx.Node], modules: dict[str, nn.Module]) -> tuple[set[fx.Node], set[fx.Node]]:
    """Return the nodes whose values differ between draws, and those that depend on such a value's shape only."""
    differing: set[fx.Node] = set()
    of_shape: set[fx.Node] = set()
    for node in order:
        inputs = node.all_input_nodes
        if is_drawing(module_of(node, modules)):
            differing.add(node)
        elif any(n in differing for n in inputs):
            (of_shape if asks_for_metadata(node) else differing).add(node)
        elif any(n in of_shape for n in inputs):
            of_shape.add(node)
    return differing, of_shape


def asks_for_metadata(node: fx.Node) -> bool:
    """Whether `node` asks for a shape, a dtype or a device, and not for data."""
    if node.op == "call_method":
        return node.target in known.METADATA_METHODS
    return node.op == "call_function" and node.target is getattr and node.args[1] in known.METADATA_ATTRIBUTES


def kind(node: fx.Node, modules: dict[str, nn.Module]) -> Kind:
    """Say how `node` may take all draws at once."""
    module = module_of(node, modules)
    if module is not None:
        return _kind_of_module(node, module)
    if node.op == "call_function":
        if node.target in known.DROPOUT_FUNCTIONS:
            return Kind(Way.PASSED)
        if node.target in known.STACKWISE_FUNCTIONS:
            return Kind(Way.STACKWISE)
        if node.target in known.BATCHWISE_FUNCTIONS and not node.kwargs.get("return_indices"):
            return Kind(Way.BATCHWISE, known.BATCHWISE_FUNCTIONS[node.target])
    elif node.op == "call_method" and node.target in known.STACKWISE_METHODS:
        return Kind(Way.STACKWISE)
    if _flattens_all_but_batch(node):
        return Kind(Way.BATCHWISE, (2, 3, 4, 5))
    if node.target in (known.ALONG_DIMENSIONS if node.op == "call_method" else known.FUNCTIONS_ALONG_DIMENSIONS):
        return _within_examples(_named_dimensions(node))
    return Kind(Way.MAPPED)


def _within_examples(dims: tuple[int, ...]) -> Kind:
    """Batchwise for draws of which none of `dims` is the batch."""
    if not dims or 0 in dims:
        return Kind(Way.MAPPED)
    return Kind(Way.BATCHWISE, tuple(n for n in (2, 3, 4, 5) if n > max(map(abs, dims))))


def _named_dimensions(node: fx.Node) -> tuple[int, ...]:
    """Return the dimensions that `node` works along; none where they, or other arguments, are not plain numbers."""
    dims = node.args[1] if len(node.args) == 2 else node.kwargs.get("dim")
    others = {name for name, value in node.kwargs.items() if value is not None} - {"dim", "keepdim", "_stacklevel"}
    if len(node.args) > 2 or others:
        return ()
    dims = dims if isinstance(dims, (tuple, list)) else (dims,)
    return tuple(dims) if all(isinstance(dim, int) for dim in dims) else ()


def _kind_of_module(node: fx.Node, module: nn.Module) -> Kind:
    if node.kwargs:
        return Kind(Way.MAPPED)
    if type(module) is Fused:
        layer = module.layer
        fits = type(layer) in _DRAWING and not layer.uses_mean and not layer.is_frozen
        return Kind(Way.FUSED, (_DRAWING[type(layer)],)) if fits else Kind(Way.MAPPED)
    if len(node.args) != 1:
        return Kind(Way.MAPPED)
    if isinstance(module, Stochastic):
        if module.uses_mean or module.is_frozen:
            return Kind(Way.MAPPED)
        if type(module) is Dropout:
            return Kind(Way.DROPOUT)
        return Kind(Way.DRAW, (_DRAWING[type(module)],)) if type(module) in _DRAWING else Kind(Way.MAPPED)
    if type(module) in known.DROPOUT_MODULES:
        return Kind(Way.PASSED)
    if type(module) in known.STACKWISE_MODULES:
        return Kind(Way.STACKWISE)
    if type(module) is nn.Flatten:
        return Kind(Way.BATCHWISE, (2, 3, 4, 5)) if (module.start_dim, module.end_dim) == (1, -1) else Kind(Way.MAPPED)
    if type(module) in (nn.Softmax, nn.LogSoftmax):
        return _within_examples((module.dim,) if isinstance(module.dim, int) else ())
    if type(module) in known.BATCHWISE_MODULES and not getattr(module, "return_indices", False):
        return Kind(Way.BATCHWISE, known.BATCHWISE_MODULES[type(module)])
    return Kind(Way.MAPPED)


def _flattens_all_but_batch(node: fx.Node) -> bool:
    is_flatten = node.target == "flatten" if node.op == "call_method" else node.target is torch.flatten
    return is_flatten and node.args[1:] == (1,) and not node.kwargs


def is_convolution2d(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether `node` is a layer that convolves images: on the CPU they are then kept channels-last."""
    module = module_of(node, modules)
    if type(module) is Fused:
        module = module.layer
    return isinstance(module, nn.Conv2d) or _DRAWING.get(type(module)) == 2


def activation(node: fx.Node, modules: dict[str, nn.Module]) -> str | None:
    """Name the activation that `node` is, if it is one that our operators know."""
    module = module_of(node, modules)
    if len(node.args) != 1 or (module is None and set(node.kwargs) - {"inplace"}):
        return None
    if type(module) is nn.ReLU or node.target in (functional.relu, torch.relu):
        return "relu"
    if node.op == "call_method" and node.target in ("relu", "relu_"):
        return "relu"
    if (type(module) is nn.Softplus and (module.beta, module.threshold) == (1, 20)) or (
        node.target is functional.softplus and not node.kwargs
    ):
        return "softplus"
    return None


def is_sum(node: fx.Node) -> bool:
    """Whether `node` adds two values."""
    if node.op == "call_function":
        return node.target in (operator.add, operator.iadd, torch.add)
    return node.op == "call_method" and node.target in ("add", "add_")


def is_max_pool(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether `node` is 2-d max pooling that our operator computes."""
    module = module_of(node, modules)
    return (
        type(module) is nn.MaxPool2d
        and module.dilation in (1, (1, 1))
        and not module.return_indices
        and len(node.args) == 1
    )


def before_pooling(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[fx.Node, str]:
    """Return what the max pooling `node` pools, past an activation that is used nowhere else, and the activation."""
    (source,) = node.all_input_nodes
    if waits_for_pooling(source, modules):
        (before,) = source.all_input_nodes
        return before, activation(source, modules) or "none"
    return source, "none"


def waits_for_pooling(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether `node` is an activation that only a max pooling uses: it is left to that step."""
    if activation(node, modules) is None or len(node.users) != 1 or not node.all_input_nodes:
        return False
    return is_max_pool(next(iter(node.users)), modules)
