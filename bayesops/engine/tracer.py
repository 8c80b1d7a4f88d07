"""`torch.fx`'s tracer, so that it leaves the model and other threads alone and sees what a graph would lose."""

import inspect
import random
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from bayesops._messages import first_line
from bayesops.engine.state import Unchanged
from bayesops.engine.torch_functions import IN_PLACE_OPERATORS, RANDOM
from bayesops.nn._stochastic import Stochastic
from bayesops.nn.fused import Fused
from bayesops.sampling import current_block

# In the `meta` of a node of a parameter or a buffer: its shape, if the graph holds for that alone.
SHAPE = "bayesops_shape"

_one_at_a_time = threading.RLock()


class NoPlan(Exception):
    """A model whose draws cannot be planned ahead; the message says why."""


class _RandomNumbers(NoPlan):
    pass


class Constant:
    """Returns a tensor that the model's code has made of numbers."""

    __name__ = "constant"

    def __init__(self, value: Tensor) -> None:
        self._value = value

    def __call__(self) -> Tensor:
        """Return the tensor."""
        return self._value


class _Proxy(fx.Proxy):
    """Also what overwrites is recorded as that: for torch's own proxies ``a += b`` is ``a = a + b``."""


def _recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    def record(self: fx.Proxy, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return record


for _function in IN_PLACE_OPERATORS:
    setattr(_Proxy, f"__{_function.__name__.strip('_')}__", _recorded(_function))


class _Held(_Proxy):
    """A parameter or a buffer: its shape is known, so that code may depend on it. The node keeps what was read."""

    def __init__(self, node: fx.Node, tracer: fx.Tracer, held: Tensor) -> None:
        super().__init__(node, tracer)
        self._held = held

    @property
    def shape(self) -> torch.Size:
        self.node.meta[SHAPE] = self._held.shape
        return self._held.shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def size(self, dim: int | None = None) -> torch.Size | int:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return len(self.shape)

    def numel(self) -> int:
        return self.shape.numel()

    def nelement(self) -> int:
        return self.shape.numel()

    def __len__(self) -> int:
        return self.shape[0]


class _Tracer(fx.Tracer):
    """Goes into containers and the user's own modules; layers of torch and Bayesian ones are kept whole."""

    proxy_buffer_attributes = True

    def __init__(self, inputs: list[str] | None = None) -> None:
        """Without `inputs`, all parameters are: so torch traces a `GraphModule` again that is loaded from a file."""
        super().__init__()
        self._inputs, self._thread, self._surroundings = inputs, threading.get_ident(), _surroundings()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (Stochastic, Fused)) or super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """Give the model's own forward function the inputs alone: Python knows the other parameters' defaults."""
        if self._inputs is None:
            return super().create_args_for_root(root_fn, is_module, concrete_args)
        proxies = [self.create_proxy("placeholder", name, (), {}) for name in self._inputs]
        # A layer by itself. Those that stand in for a peer's remember their last call, which a plan would be.
        if isinstance(self.root, Stochastic) and type(self.root).__module__.startswith("bayesops.nn."):
            return lambda root, *inputs: self.call_module(root, root.forward, inputs, {}), [self.root, *proxies]
        return lambda root, *inputs: root.forward(*inputs), [self.root, *proxies]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    # While it traces, every module of the process comes by here, also when another thread calls it.

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, fx.Proxy]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        value = super().getattr(attr, attr_val, parameter_proxy_cache)
        is_held = isinstance(value, fx.Proxy) and isinstance(attr_val, Tensor)
        return _Held(value.node, self, attr_val) if is_held else value

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, Tensor) and not isinstance(a, nn.Parameter):
            if a in self.tensor_attrs or any(a is buffer for buffer in self.root.buffers()):
                return super().create_arg(a)
            if self.tensor_attrs:  # from which it may have been computed
                raise NoPlan("it computes with tensors that are neither parameters nor buffers")
            return self.create_node("call_function", Constant(a), (), {})
        return super().create_arg(a)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        if self._surroundings != _surroundings():
            raise NoPlan("its forward function opens a sampling block, or switches autocast")
        return super().create_node(*args, **kwargs)


def _surroundings() -> tuple[Any, ...]:
    """Return what blocks of the model's own would change, and a graph would not repeat."""
    kinds = ("cpu", "cuda")
    autocast = tuple(torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) for kind in kinds)
    return current_block(), autocast


class _SeesRandomNumbers(TorchFunctionMode):
    """Finds what is drawn while the model's code runs, and would be the same number in every run of the graph.

    (A `TorchDispatchMode` would import all of dynamo, and that while `math` is patched.)
    """

    found = ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in RANDOM and isinstance(result, Tensor):
            self.found = name
        return result


def symbolic_trace(model: nn.Module, inputs: int) -> fx.Graph:
    """Return the graph of `model` for so many inputs; other parameters of its forward function keep their defaults.

    Raises
    ------
    NoPlan
        Where its Python code cannot be traced, draws random numbers, or counts its calls.
    """
    try:
        return _trace(model, _names(model, inputs))
    except _RandomNumbers:  # perhaps another thread's
        return _trace(model, _names(model, inputs))


def _trace(model: nn.Module, names: list[str]) -> fx.Graph:
    with _one_at_a_time:
        tracer, numbers = _Tracer(names), random.getstate()
        with Unchanged(model, buffers=False) as held:
            try:
                with _SeesRandomNumbers() as seen:
                    graph = tracer.trace(model)
            except NoPlan:
                raise
            except Exception as error:  # tracing runs the user's code, which may fail in any way
                raise NoPlan(f"torch.fx: {first_line(error)}") from error
    if held.changed:
        raise NoPlan(f"its forward function changes {held.changed}")
    if seen.found or random.getstate() != numbers:
        raise _RandomNumbers(f"{seen.found or 'random'} draws while the model is traced")
    return graph


def _names(model: nn.Module, inputs: int) -> list[str]:
    """Return the names of the parameters that take the inputs."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        raise NoPlan("its forward function takes *args")
    required = [parameter for parameter in parameters[inputs:] if parameter.default is parameter.empty]
    required = [parameter for parameter in required if parameter.kind is not parameter.VAR_KEYWORD]
    if len(parameters) < inputs or required:
        raise NoPlan(f"{inputs} inputs were given, and its forward function takes {len(parameters)}")
    return [parameter.name for parameter in parameters[:inputs]]
