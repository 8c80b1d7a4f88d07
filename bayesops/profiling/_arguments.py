"""The arguments of `profile`, checked."""

import math
from collections.abc import Iterable
from os import PathLike
from typing import Any

from torch import Tensor

from bayesops._arguments import check_choice, check_count, check_number, wrong_type, wrong_value
from bayesops._files import why_not_writable
from bayesops.profiling.rivals import RIVALS

# What each posterior may be given, and what it is otherwise.
_OPTIONS: dict[str, dict[str, Any]] = {
    "bernoulli": {"p": 0.5, "granularity": "weight"},
    "gaussian": {"estimator": "local_reparam"},
}


def each(values: Any) -> tuple[Any, ...]:
    """Return several values, or one, as a tuple."""
    try:
        return tuple(values)
    except TypeError:  # one; arrays and tensors of no dimensions have __iter__, too
        return (values,)


def counts_of(argument: str, values: Any) -> tuple[int, ...]:
    """Return different counts in their order."""
    counts = {check_count("profile", argument, value) for value in each(values)}
    if not counts:
        wrong_value("profile", argument, "at least one number", "none")
    return tuple(sorted(counts))


def positive(argument: str, value: Any) -> float:
    """Return `value`, a finite number above 0."""
    check_number("profile", argument, value)
    if not 0 < value < math.inf:
        wrong_value("profile", argument, "finite and above 0", value)
    return float(value)


def known_rivals(rivals: Any) -> tuple[str, ...]:
    """Return the names of rivals, all of them known."""
    wanted = f"a collection of {', '.join(map(repr, RIVALS))}"
    if isinstance(rivals, str):
        wrong_value("profile", "rivals", wanted, repr(rivals))
    if not isinstance(rivals, Iterable):
        wrong_type("profile", "rivals", wanted, type(rivals).__name__)
    names = tuple(rivals)
    if not all(name in RIVALS for name in names):
        wrong_value("profile", "rivals", wanted, repr(names))
    return names


def posterior_options(posterior: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the posterior; those of another one would not be heard."""
    check_choice("profile", "posterior", posterior, _OPTIONS)
    options = dict(_OPTIONS[posterior])
    for name, value in given.items():
        if value is None:
            continue
        if name not in options:
            known = ", ".join(options)
            raise TypeError(f"profile: argument '{name}' is no option of posterior={posterior!r}, which has {known}")
        options[name] = value
    return options


def tensors_of(inputs: Any) -> tuple[Tensor, ...]:
    """Return the model's arguments."""
    arguments = (inputs,) if isinstance(inputs, Tensor) else each(inputs)
    if not arguments or not all(isinstance(argument, Tensor) for argument in arguments):
        wrong_type("profile", "inputs", "a tensor or a tuple of tensors", type(inputs).__name__)
    for argument in arguments:
        if argument.dim() == 0 or len(argument) == 0:
            wrong_value(
                "profile", "inputs", "of at least one example, the batch first", f"shape {tuple(argument.shape)}"
            )
    return arguments


def check_trace(trace: str | PathLike[str] | None) -> None:
    """Say now what would be said only after the measurements."""
    if trace is None:
        return
    if not isinstance(trace, (str, PathLike)):
        wrong_type("profile", "trace", "a path", type(trace).__name__)
    if reason := why_not_writable(trace):
        wrong_value("profile", "trace", "a file that can be written", reason)
