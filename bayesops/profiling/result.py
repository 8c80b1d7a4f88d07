"""What a profile holds, and the forms that it is read in."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bayesops._optional import require
from bayesops.profiling.accuracy import Accuracy
from bayesops.profiling.breakdown import Breakdown
from bayesops.profiling.cases import Case
from bayesops.profiling.machine import Machine


@dataclass(frozen=True)
class Profile:
    """What `profile` returns.

    Attributes
    ----------
    model : str
        Its name.
    posterior : str
        Its Bayesian layers: its own, or converted, and how.
    machine : Machine
        Where it was measured.
    cases : tuple of Case
        Every batch size with every number of draws, in their order.
    layers : dict of int to Breakdown
        For each batch size what every step costs, at the largest number of draws.
    accuracy : dict of int to Accuracy
        For each batch size the standard errors against T.
    """

    model: str
    posterior: str
    machine: Machine
    cases: tuple[Case, ...]
    layers: dict[int, Breakdown]
    accuracy: dict[int, Accuracy]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, numbers and strings."""
        return asdict(self)

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_csv(self, table: str = "ways") -> str:
        """Return one table in long form, with a line of names.

        Parameters
        ----------
        table : {"ways", "steps", "accuracy"}
            One row for each case and way; for each batch and step; for each batch and number of draws.

        Raises
        ------
        ValueError
            Another table.
        """
        from bayesops.profiling.report.long_form import to_csv

        return to_csv(self, table)

    def to_text(self, width: int = 100) -> str:
        """Return tables for a terminal of `width` columns, without colour (needs rich)."""
        require("Profile.to_text", "rich", "cli")
        from bayesops.profiling.report.text import to_text

        return to_text(self, width)

    def to_html(self) -> str:
        """Return one self-contained page with tables and plots (needs matplotlib)."""
        require("Profile.to_html", "matplotlib", "plot")
        from bayesops.profiling.report.html import to_html

        return to_html(self)

    def plot(self, file: str | Path) -> None:
        """Draw all plots into one image; the file's ending says which kind, ``.png`` or ``.svg`` (needs matplotlib)."""
        require("Profile.plot", "matplotlib", "plot")
        from bayesops.profiling.report.figures import save

        save(self, file)

    def _repr_html_(self) -> str:
        """Tables for notebooks."""
        from bayesops.profiling.report.html import tables_as_html

        return tables_as_html(self)
