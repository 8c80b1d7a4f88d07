"""What all streaming measures have in common: parts that batches are added to, and that two measures merge."""

from abc import ABC, abstractmethod
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from torch import Tensor

from bayesops._arguments import wrong_type, wrong_value

Result = TypeVar("Result")


class Part(Protocol):
    """Something that a measure has gathered."""

    @property
    def is_empty(self) -> bool:
        """Nothing has come yet."""

    def fresh(self) -> "Part":
        """Return an empty part of the same kind."""

    def merge(self, other: Any) -> None:
        """Add what another part of the same kind has gathered, and leave that as it is."""


class Sum:
    """A sum of tensors, int64 or float64, on the device of the first."""

    def __init__(self) -> None:
        self.value: Tensor | None = None

    @property
    def is_empty(self) -> bool:
        """Nothing has come yet."""
        return self.value is None

    def fresh(self) -> "Sum":
        """Return an empty sum."""
        return Sum()

    def add(self, value: Tensor) -> None:
        """Add a tensor of the same shape."""
        self.value = value if self.value is None else self.value + value.to(self.value.device)

    def merge(self, other: "Sum") -> None:
        """Add another sum."""
        if other.value is not None:
            self.add(other.value)


class Measure(ABC, Generic[Result]):
    """A measure over batches: `update` with each, `compute` when there are no more.

    Public attributes are the constructor's arguments. Measures with the same ones can be merged: those of the ranks of
    a process group, of workers, or of parts of the data. They can be pickled.
    """

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def _fresh_parts(self) -> dict[str, Part]:
        """Return what an empty measure holds."""

    @abstractmethod
    def compute(self) -> Result:
        """Return the result over all batches so far. It can be asked for at any time."""

    def reset(self) -> None:
        """Forget everything."""
        self._parts = self._fresh_parts()

    def merge(self, other: "Measure[Result]") -> "Measure[Result]":
        """Add all that another measure has seen; the result is that of one measure which has seen both.

        Parameters
        ----------
        other : Measure
            Of the same class and with the same arguments. It stays as it is.

        Returns
        -------
        Measure
            This one.

        Raises
        ------
        TypeError
            Of another class.
        ValueError
            With other arguments.
        """
        function = f"{type(self).__name__}.merge"
        if type(other) is not type(self):
            wrong_type(function, "other", f"a {type(self).__name__}", type(other).__name__)
        if other._arguments() != self._arguments():
            wrong_value(function, "other", f"like {self!r}", repr(other))
        self._check_merge(other)
        for name, part in other._parts.items():
            self._parts.setdefault(name, part.fresh()).merge(part)
        return self

    def _check_merge(self, other: Any) -> None:
        """Refuse what does not go together though the arguments are the same."""

    def _arguments(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def _add(self, **values: Tensor) -> None:
        for name, value in values.items():
            part = self._parts[name]
            assert isinstance(part, Sum)
            part.add(value)

    def _sum(self, name: str) -> Tensor:
        """Return a sum, or say that there is none."""
        part = self._parts[name]
        assert isinstance(part, Sum)
        if part.value is None:
            self._nothing()
        return part.value

    def _nothing(self) -> NoReturn:
        raise RuntimeError(f"{type(self).__name__}.compute: nothing has been counted yet; call update first")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._arguments().items())})"
