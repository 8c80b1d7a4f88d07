"""`bayesops profile`: what T draws of a model cost, as a whole and layer by layer."""

import argparse
import importlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesops.cli._arguments import UsageError, positive_float, positive_int, probability, set_threads

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bayesops.profiling import Profile

_NOTES = """\
T passes: of the network that draws nothing; they are 1.00 in the next two columns. Naive loop: T passes that draw masks
or noise with torch and apply them by its operators. Ratios are medians [and quartiles] of pairs taken in turn. Of peak:
operations of the layers a second, as if each draw did all of them (two convolutions under local reparameterisation and
Flipout, one otherwise), to the measured peak of fused multiply-adds. MiB: growth of resident memory (on CUDA: of the
allocator in torch) up to its peak during the run."""
_LAYER_NOTES = """\
Times are for each draw; plain: for each deterministic pass. In kernel: share of all threads' time within the layer that
was spent in the fused kernels; the columns after it say on what, by the kernels' own counters (off while times are
taken): pack draws Gaussian weights, the epilogue draws the noise of local reparameterisation."""
# What each posterior may be given; `bayesops.profile` has the defaults.
_OPTIONS = {"bernoulli": ("p", "granularity"), "gaussian": ("estimator",)}


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "profile",
        help="measure what T draws of a model cost",
        description="Measure T draws of a model beside T deterministic passes and a loop in plain PyTorch.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("model", help="lenet5, 3conv3fc, resnet18, or pkg.module:factory")
    parser.add_argument("--batch", type=positive_int, nargs="+", default=[1, 32], metavar="N", help="batch sizes")
    parser.add_argument("--samples", type=positive_int, nargs="+", default=[1, 10, 50], metavar="T", help="draws")
    parser.add_argument(
        "--posterior", choices=list(_OPTIONS), default="bernoulli", help="what a deterministic model is converted to"
    )
    parser.add_argument(
        "--p", type=probability, default=argparse.SUPPRESS, help="bernoulli: probability of dropping (default: 0.5)"
    )
    parser.add_argument(
        "--granularity", choices=["weight", "kernel", "in_channel", "out_channel", "channel"],
        default=argparse.SUPPRESS, help="bernoulli: what one random bit switches (default: weight)",
    )  # fmt: skip
    parser.add_argument(
        "--estimator", choices=["local_reparam", "weight_sample", "flipout"],
        default=argparse.SUPPRESS, help="gaussian: how outputs are drawn (default: local_reparam)",
    )  # fmt: skip
    parser.add_argument(
        "--input-shape", type=positive_int, nargs="+", metavar="SIZE",
        help="C H W of one input, for a factory that returns a model alone",
    )  # fmt: skip
    parser.add_argument("--threads", type=positive_int, help="torch's threads")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--seconds", type=positive_float, default=2.0, help="for each measurement, about")
    parser.add_argument("--no-layers", action="store_true", help="leave out the tables by layer")
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON; '-' is the standard output, alone")
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="draw the ratios and the layers' phases")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure, and show."""
    from bayesops.cli import _render
    from bayesops.profiling import profile

    for path in (options.plot, options.json if options.json != "-" else None):
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise UsageError(f"{path}: there is no such folder")
    posterior_options = _posterior_options(options)
    set_threads(options.threads)
    model, inputs = load(options.model, options.input_shape)
    with _render.bar(options.model, quiet=options.quiet) as progress:

        def step(done: int, total: int, what: str) -> None:
            progress.total, progress.n = total, done
            progress.set_description(f"{options.model}: {what}")

        try:
            result = profile(
                model, inputs, options.samples, options.batch, posterior=options.posterior, **posterior_options,
                seed=options.seed, seconds=options.seconds, layers=not options.no_layers, name=options.model,
                progress=step,
            )  # fmt: skip
        except ValueError as error:
            raise UsageError(str(error)) from error
    if options.json == "-":
        json.dump(result.to_dict(), sys.stdout, indent=2)
        print()
    else:
        show(result)
        if options.json:
            Path(options.json).write_text(json.dumps(result.to_dict(), indent=2) + "\n")
    if options.plot:
        from bayesops.cli import _figures

        _figures.profile(result, options.plot)


def _posterior_options(options: argparse.Namespace) -> dict[str, Any]:
    """Options of the posterior that were given; those of another one would not be heard."""
    for posterior, names in _OPTIONS.items():
        for name in names:
            if posterior != options.posterior and hasattr(options, name):
                raise UsageError(f"--{name} is for --posterior {posterior}, not for {options.posterior}")
    return {name: getattr(options, name) for name in _OPTIONS[options.posterior] if hasattr(options, name)}


def show(result: "Profile") -> None:
    """Print the tables."""
    from bayesops.cli import _render

    out = _render.console()
    out.print(_render.machine_line(result.machine), soft_wrap=True)
    out.print(_render.case_table(result.cases, f"{result.model}: T draws"))
    out.print(_NOTES, markup=False)
    for size, layers in result.layers.items():
        title = f"{result.model}: layers, batch {size}, T = {result.layer_samples}"
        out.print(_render.layer_table(layers, title))
    if result.layers:
        out.print(_LAYER_NOTES, markup=False)
    for plan in dict.fromkeys(case.plan for case in result.cases if case.plan.startswith("loop")):
        out.print(f"bo.predict: {plan}")


def load(name: str, input_shape: list[int] | None) -> tuple["nn.Module", "tuple[Tensor, ...]"]:
    """Make the model called `name`, and inputs of one example for it.

    Raises
    ------
    UsageError
        No such model or factory; a factory that fails, that does not return a module, or whose module does not take
        the inputs.
    """
    import torch

    from bayesops import models

    inputs: tuple[Tensor, ...] | None = None
    if ":" in name:
        model, inputs = _from_factory(name)
    elif name in models.MODELS:
        model, inputs = models.build(name), (models.example_input(name),)
    else:
        raise UsageError(f"model {name!r} is none of {', '.join(models.MODELS)}, nor of the form pkg.module:factory")
    if input_shape:
        inputs = (torch.randn(1, *input_shape, generator=torch.Generator().manual_seed(0)),)
    if inputs is None:
        raise UsageError(f"{name} returns a model alone: say what it takes, as in --input-shape 3 32 32")
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    except Exception as error:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise UsageError(f"{name} does not take an input of shape {shapes}: {_first_line(error)}") from error
    return model, inputs


def _from_factory(name: str) -> tuple["nn.Module", "tuple[Tensor, ...] | None"]:
    """Call ``pkg.module:factory``, which returns a module, or a module and its input (or tuple of inputs)."""
    from torch import Tensor, nn

    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"{name!r} is not of the form pkg.module:factory")
    if os.getcwd() not in sys.path:  # as `python -m` would have it
        sys.path.insert(0, os.getcwd())
    try:
        factory: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            factory = getattr(factory, part)
    except Exception as error:
        raise UsageError(f"cannot import {name}: {_first_line(error)}") from error
    if not callable(factory):
        raise UsageError(f"{name} is a {type(factory).__name__}, not a function that returns a model")
    try:
        made = factory()
    except Exception as error:
        raise UsageError(f"{name}() failed: {_first_line(error)}") from error
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
    are_tensors = isinstance(inputs, (tuple, list)) and all(isinstance(tensor, Tensor) for tensor in inputs)
    if not isinstance(model, nn.Module) or not (inputs is None or are_tensors):
        raise UsageError(
            f"{name}() must return a torch.nn.Module, or one with its input; it returned {type(made).__name__}"
        )
    return model, None if inputs is None else tuple(inputs)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
