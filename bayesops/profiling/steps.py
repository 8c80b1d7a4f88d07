"""What there is to be timed in a model: the steps of its plan, or its Bayesian layers where it has none."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from torch import fx, nn

from bayesops.engine import nodes
from bayesops.engine import steps as plan_steps
from bayesops.engine.fusion import find_foldings, find_fusions
from bayesops.engine.plan import Watch, plan_of
from bayesops.engine.preparations import Preparation
from bayesops.engine.trace import target_name, trace
from bayesops.profiling import twins
from bayesops.profiling.subject import Batch, Subject
from bayesops.profiling.watching import ClockedGraph, around_layers


@dataclass
class Step:
    """A row of the table.

    Attributes
    ----------
    name, kind : str
        The layer's name in the model, or the node's; and the classes and functions that it runs.
    bayesian : bool
        Whether it draws.
    runs : {"each", "mapped", "once"}
        For each chunk of draws, for each mapped by `torch.vmap`, or once for all draws.
    watched : set of str
        The names under which the engine announces it.
    plain : list of str
        The names under which the plain twin does.
    """

    name: str
    kind: str
    bayesian: bool
    runs: str = "each"
    watched: set[str] = field(default_factory=set)
    plain: list[str] = field(default_factory=list)


@dataclass
class Layout:
    """The steps of a model, and how to have them watched.

    Attributes
    ----------
    steps : list of Step
        In the order in which they run.
    run_plain : callable
        Makes one deterministic pass under a watch; returns the bytes of what each of the plain names returned.
    around_ours : callable
        A context, given a watch, in which the model announces its layers, where no plan does so.
    """

    steps: list[Step]
    run_plain: Callable[[Watch], dict[str, int]]
    around_ours: Callable[[Watch], AbstractContextManager[None]]


def layout_of(subject: Subject, batch: Batch, path: str) -> Layout:
    """Find out what there is to be timed where `bayesops.predict` takes `path`."""
    return _of_plan(subject, batch) if path == "plan" else _of_layers(subject, batch)


def _of_layers(subject: Subject, batch: Batch) -> Layout:
    ours = twins.bayesian_layers(subject.ours)
    plain = {name: subject.plain.get_submodule(name) for name in ours}

    def run_plain(watch: Watch) -> dict[str, int]:
        with around_layers(plain, watch):
            subject.plain(*batch)
        return {}

    steps = [
        Step(name or type(layer).__name__, type(layer).__name__, True, watched={name}, plain=[name])
        for name, layer in ours.items()
    ]
    return Layout(steps, run_plain, lambda watch: around_layers(ours, watch))


def _of_plan(subject: Subject, batch: Batch) -> Layout:
    modules = dict(subject.ours.named_modules(remove_duplicate=False))
    graph = trace(subject.ours, len(batch))
    steps = _steps(list(graph.nodes), modules)
    plan = plan_of(subject.ours, len(batch))
    by_watched = {watched: step for step in steps for watched in step.watched}
    for run_once in plan.once:
        if not isinstance(run_once, Preparation):
            by_watched[run_once.name].runs = "once"
    for run_each in plan.each:
        if type(run_each) is plan_steps.Mapped:
            by_watched[run_each.name].runs = "mapped"
    clocked = ClockedGraph(subject.plain, trace(subject.plain, len(batch)))  # its nodes have the same names

    def run_plain(watch: Watch) -> dict[str, int]:
        clocked.run_watched(batch, watch)
        return clocked.bytes

    return Layout(steps, run_plain, lambda watch: nullcontext())


def _steps(order: list[fx.Node], modules: dict[str, nn.Module]) -> list[Step]:
    """Gather the nodes of each step: a layer's with those that are fused with it, an activation with its pooling."""
    owner: dict[fx.Node, fx.Node] = {}
    for layer, fusion in find_fusions(order, modules).items():
        owner.update(dict.fromkeys(fusion.absorbed, layer))
    owner.update(find_foldings(order, modules))
    steps: dict[str, Step] = {}
    parts: dict[str, list[str]] = {}
    for node in order:
        if node.op in ("placeholder", "output"):
            continue
        if node not in owner:
            owner[node] = next(iter(node.users)) if nodes.waits_for_pooling(node, modules) else node
        name = _name(owner[node])
        if name not in steps:
            steps[name] = Step(name, "", False)
            parts[name] = []
        step, module = steps[name], nodes.module_of(node, modules)
        step.bayesian |= nodes.is_drawing(module)
        step.watched.add(_name(node))
        step.plain.append(node.name)
        kind = target_name(node) if module is None else type(module).__name__
        if kind not in parts[name]:
            parts[name].append(kind)
    for name, step in steps.items():
        step.kind = " + ".join(parts[name])
    return list(steps.values())


def _name(node: fx.Node) -> str:
    """Return what the engine calls a node's step."""
    return str(node.target) if node.op == "call_module" else node.name
