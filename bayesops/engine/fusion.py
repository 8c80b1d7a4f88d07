"""What may follow a Bayesian layer in its own pass: batch normalisation, a shortcut, relu."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn

from bayesops.engine import nodes
from bayesops.engine.nodes import Way

_PLAIN: dict[type, int] = {nn.Linear: 0, nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
_BATCH_NORM = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class Fusion(NamedTuple):
    """A drawing layer and the nodes that run with it.

    Attributes
    ----------
    last : Node
        The node whose value comes out.
    batch_norm : Node or None
        Batch normalisation.
    residual : Node or None
        What is added.
    relu : bool
        Whether relu comes last.
    absorbed : tuple of Node
        The nodes that the layer's own step makes unnecessary, `last` among them.
    """

    last: fx.Node
    batch_norm: fx.Node | None = None
    residual: fx.Node | None = None
    relu: bool = False
    absorbed: tuple[fx.Node, ...] = ()


def find_fusions(order: Sequence[fx.Node], modules: dict[str, nn.Module]) -> dict[fx.Node, Fusion]:
    """Return the fusion of each drawing layer that something may be fused with.

    Each node between must be used by the next one alone. What is added must have been computed before the layer.
    """
    position = {node: place for place, node in enumerate(order)}
    found: dict[fx.Node, Fusion] = {}
    for node in order:
        if nodes.kind(node, modules).way is not Way.DRAW:
            continue
        fusion = _follow(node, modules, position)
        if fusion.absorbed:
            found[node] = fusion
    return found


def _follow(node: fx.Node, modules: dict[str, nn.Module], position: dict[fx.Node, int]) -> Fusion:
    spatial = nodes.kind(node, modules).dims[0]
    fusion = Fusion(node)
    while (user := _only_user(fusion.last)) is not None:
        module = nodes.module_of(user, modules)
        if fusion.batch_norm is None and fusion.residual is None and type(module) is _BATCH_NORM[spatial]:
            fusion = fusion._replace(batch_norm=user)
        elif fusion.residual is None and (other := _other_summand(user, fusion.last)) is not None:
            if position[other] > position[node]:  # of two layers that are added, the later one takes the sum
                break
            fusion = fusion._replace(residual=other)
        elif nodes.activation(user, modules) == "relu" and not nodes.waits_for_pooling(user, modules):
            return fusion._replace(relu=True, last=user, absorbed=(*fusion.absorbed, user))
        else:
            break
        fusion = fusion._replace(last=user, absorbed=(*fusion.absorbed, user))
    return fusion


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _other_summand(node: fx.Node, one: fx.Node) -> fx.Node | None:
    if not nodes.is_sum(node) or len(node.args) != 2 or node.kwargs:
        return None
    others = [arg for arg in node.args if isinstance(arg, fx.Node) and arg is not one]
    return others[0] if len(others) == 1 else None


def find_foldings(order: Sequence[fx.Node], modules: dict[str, nn.Module]) -> dict[fx.Node, fx.Node]:
    """Return the plain layers whose results go to batch normalisation alone, by the node of the latter."""
    found: dict[fx.Node, fx.Node] = {}
    for node in order:
        source = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        spatial = _PLAIN.get(type(nodes.module_of(source, modules)))
        if spatial is not None and type(nodes.module_of(node, modules)) is _BATCH_NORM[spatial]:
            found[node] = source
    return found


def folded(batch_norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return scale and shift ``[C]`` that do what `batch_norm` does in eval mode."""
    assert isinstance(batch_norm, nn.modules.batchnorm._BatchNorm)
    assert batch_norm.running_mean is not None
    assert batch_norm.running_var is not None
    dtype = batch_norm.running_var.dtype
    wide = torch.promote_types(dtype, torch.float32)
    scale = torch.rsqrt(batch_norm.running_var.to(wide) + batch_norm.eps)
    if batch_norm.weight is not None:
        scale = scale * batch_norm.weight
    shift = -batch_norm.running_mean * scale
    if batch_norm.bias is not None:
        shift = shift + batch_norm.bias
    return scale.to(dtype), shift.to(dtype)
