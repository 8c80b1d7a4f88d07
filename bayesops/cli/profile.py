"""`bayesops profile`: what T draws of a model cost and what they give, as a whole and step by step."""

import argparse
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesops.cli._arguments import (
    UsageError,
    check_files,
    check_picture,
    index_or_key,
    positive_float,
    positive_int,
    probability,
    seed,
    set_threads,
)

if TYPE_CHECKING:
    from bayesops.profiling import Profile

# What each posterior may be given; `bayesops.profile` has the defaults.
_OPTIONS = {"bernoulli": ("p", "granularity"), "gaussian": ("estimator",)}
_RIVALS = ("repeated", "vmap", "peers", "paths")
_FILES = ("json", "csv", "html", "plot", "trace")


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "profile",
        help="measure what T draws of a model cost, and what they give",
        description="Measure T draws of a model beside T deterministic passes, a loop in PyTorch and other rivals.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "model",
        help="lenet5, 3conv3fc, resnet18, alexnet, mlp, 1conv1fc, 2conv1fc, "
        "or pkg.module:factory (or pkg.module:model)",
    )
    parser.add_argument("--batch", type=positive_int, nargs="+", default=[1, 32], metavar="N", help="batch sizes")
    parser.add_argument("--samples", type=positive_int, nargs="+", default=[1, 10, 50], metavar="T", help="draws")
    _add_model_arguments(parser.add_argument_group("the model"))
    _add_measurement_arguments(parser.add_argument_group("the measurement"))
    _add_output_arguments(parser.add_argument_group("what comes out (tables are printed in any case)"))
    parser.set_defaults(run=run)


def _add_model_arguments(group: Any) -> None:
    group.add_argument(
        "--input-shape", type=positive_int, nargs="+", action="append", metavar="SIZE",
        help="C H W of one example, for a model that comes without an input; again for each further input",
    )  # fmt: skip
    group.add_argument(
        "--posterior", choices=list(_OPTIONS), default="bernoulli", help="what a deterministic model is converted to"
    )
    group.add_argument(
        "--p", type=probability, default=argparse.SUPPRESS, help="bernoulli: probability of dropping (default: 0.5)"
    )
    group.add_argument(
        "--granularity", choices=["weight", "kernel", "in_channel", "out_channel", "channel"],
        default=argparse.SUPPRESS, help="bernoulli: what one random bit switches (default: weight)",
    )  # fmt: skip
    group.add_argument(
        "--estimator", choices=["local_reparam", "weight_sample", "flipout"],
        default=argparse.SUPPRESS, help="gaussian: how outputs are drawn (default: local_reparam)",
    )  # fmt: skip
    group.add_argument(
        "--link",
        choices=["softmax", "sigmoid", "identity", "gaussian"],
        default="softmax",
        help="as in bayesops.predict",
    )
    group.add_argument(
        "--output", type=index_or_key, metavar="KEY", help="which of several outputs is meant: an index or a key"
    )


def _add_measurement_arguments(group: Any) -> None:
    group.add_argument("--seconds", type=positive_float, default=2.0, help="for each measurement, about")
    group.add_argument(
        "--rivals", choices=_RIVALS, nargs="*", default=list(_RIVALS), metavar="RIVAL",
        help="of repeated, vmap, peers and paths (our own that were not chosen), beside the loop; none: only the loop",
    )  # fmt: skip
    group.add_argument("--compile", action="store_true", help="torch.compile the best of them, too; takes long")
    group.add_argument("--no-layers", action="store_true", help="leave out the tables by layer")
    group.add_argument("--no-accuracy", action="store_true", help="leave out the standard errors")
    group.add_argument(
        "--targets", type=positive_float, nargs="+", default=[0.01, 0.005], metavar="ERROR",
        help="standard errors for which to say how many draws are needed",
    )  # fmt: skip
    group.add_argument(
        "--seed", type=seed, default=0, help="of the draws, and of torch's generator before the model is made"
    )
    group.add_argument("--threads", type=positive_int, help="torch's threads")
    group.add_argument("--device", default="cpu", help="cpu, or cuda")


def _add_output_arguments(group: Any) -> None:
    group.add_argument("--json", metavar="FILE", help="everything as JSON; '-' is the standard output, alone")
    group.add_argument("--csv", metavar="FILE.csv", type=Path, help="long form; also FILE.steps.csv, FILE.accuracy.csv")
    group.add_argument("--html", metavar="FILE.html", type=Path, help="one self-contained page with plots")
    group.add_argument("--plot", metavar="FILE.png", type=Path, help="the plots (or .svg, .pdf)")
    group.add_argument("--trace", metavar="FILE.json", type=Path, help="a Chrome trace of one prediction")
    group.add_argument("--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> None:
    """Measure, and show."""
    import torch

    from bayesops.cli import _render
    from bayesops.cli._model import load
    from bayesops.profiling import profile

    _check_files(options)
    posterior_options = _posterior_options(options)
    set_threads(options.threads)
    torch.manual_seed(options.seed)
    model, inputs = load(options.model, options.input_shape, options.device)
    with _render.bar(options.model, quiet=options.quiet) as progress:

        def step(done: int, total: int, what: str) -> None:
            progress.total, progress.n = total, done
            progress.set_description(f"{options.model}: {what}")

        try:
            result = profile(
                model, inputs, options.samples, options.batch, posterior=options.posterior, **posterior_options,
                link=options.link, output=options.output, seed=options.seed, seconds=options.seconds,
                rivals=options.rivals, compile=options.compile, layers=not options.no_layers,
                accuracy=not options.no_accuracy, targets=options.targets, trace=options.trace, name=options.model,
                progress=step,
            )  # fmt: skip
        except (ValueError, TypeError) as error:
            raise UsageError(str(error)) from error
    if options.json == "-":
        sys.stdout.write(result.to_json())
        _write(result, options)
        return
    from bayesops.profiling.report.text import rendered

    out = _render.console()
    if out.is_terminal:
        out.print(rendered(result, out.width))
    else:  # a file is better off without the blanks that rich fills lines with
        sys.stdout.write(result.to_text(out.width))
    written = _write(result, options)
    if written:
        out.print(f"written: {', '.join(map(str, written))}", markup=False)


def _check_files(options: argparse.Namespace) -> None:
    """Say now what would be said only after the measurements."""
    check_files(_files(options))
    if options.html:
        import_module("matplotlib")  # or it is missed at the end
    if options.plot:
        check_picture(options.plot)


def _files(options: argparse.Namespace) -> Iterator[str | Path]:
    for name in _FILES:
        file = getattr(options, name)
        if file is not None and file != "-":
            yield file
    if options.csv:
        yield from (_of_table(options.csv, table) for table in _tables(options))


def _tables(options: argparse.Namespace) -> list[str]:
    """Tables that have a file of their own beside that of ``--csv``."""
    return [
        name for name, left_out in (("steps", options.no_layers), ("accuracy", options.no_accuracy)) if not left_out
    ]


def _of_table(csv: Path, table: str) -> Path:
    return csv.with_suffix(f".{table}{csv.suffix}")


def _posterior_options(options: argparse.Namespace) -> dict[str, Any]:
    """Options of the posterior that were given; those of another one would not be heard."""
    for posterior, names in _OPTIONS.items():
        for name in names:
            if posterior != options.posterior and hasattr(options, name):
                raise UsageError(f"--{name} is for --posterior {posterior}, not for {options.posterior}")
    return {name: getattr(options, name) for name in _OPTIONS[options.posterior] if hasattr(options, name)}


def _write(result: "Profile", options: argparse.Namespace) -> list[Path]:
    """Write the files that were asked for; return them."""
    texts: dict[Path, str] = {}
    if options.json and options.json != "-":
        texts[Path(options.json)] = result.to_json()
    if options.csv:
        texts[options.csv] = result.to_csv()
        texts |= {_of_table(options.csv, table): result.to_csv(table) for table in _tables(options)}
    if options.html:
        texts[options.html] = result.to_html()
    try:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        if options.plot:
            result.plot(options.plot)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}") from error
    return [*texts, *(path for path in (options.plot, options.trace) if path)]
