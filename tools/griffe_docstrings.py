"""For `make docs`: how our docstrings are read.

Of a parameter Griffe takes the first of several choices for the default, the default and the type of the first name for
all names of a line, and drops quotes. Here the type is what the docstring says, or else the signature; the default is
the signature's. Formulas become MathML, which a browser shows without a script.
"""

import re
from collections.abc import Iterator
from typing import Any

import griffe
from latex2mathml.converter import convert


class AsWritten(griffe.Extension):
    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        for documented in _functions_and_classes(pkg):
            if documented.docstring is not None:
                documented.docstring.value = _with_formulas(documented.docstring.value)
                _set_parameters(documented, documented.docstring)


def _functions_and_classes(parent: griffe.Object) -> Iterator[griffe.Function | griffe.Class]:
    for member in parent.members.values():
        if member.is_alias:
            continue
        if member.is_function or member.is_class:
            yield member
        yield from _functions_and_classes(member)


def _with_formulas(docstring: str) -> str:
    def display(found: re.Match[str]) -> str:
        return f"<div>{convert(' '.join(found[1].split()), display='block')}</div>\n"

    docstring = re.sub(r"^\.\. math::(.*\n(?:[ ]+.*\n)*)", display, docstring, flags=re.MULTILINE)
    return re.sub(r":math:`([^`]*)`", lambda found: convert(found[1]), docstring)


def _set_parameters(documented: griffe.Function | griffe.Class, docstring: griffe.Docstring) -> None:
    types = dict(_types(docstring.value))
    for section in docstring.parsed:
        if section.kind is griffe.DocstringSectionKind.other_parameters:
            section.title = "Other parameters:"
        if section.kind is griffe.DocstringSectionKind.parameters:
            for parameter in section.value:
                of_signature = documented.parameters[parameter.name]
                parameter.value = of_signature.default
                parameter.annotation = types.get(parameter.name, of_signature.annotation)


def _types(docstring: str) -> Iterator[tuple[str, str]]:
    """Names of parameters with what stands after their colon."""
    for names, written in re.findall(r"^([\w*, ]+) : (.+)$", docstring, re.MULTILINE):
        for name in names.split(", "):
            if written != "optional":
                yield name, written.removesuffix(", optional")
