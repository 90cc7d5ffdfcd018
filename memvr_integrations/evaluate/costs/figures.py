"""What was measured: medians with their intervals, in tables and as JSON."""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

_OUTSIDE = 0.025  # on each side of a 95 % interval

Json: TypeAlias = str | int | float | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True)
class Spread:
    """One quantity in every round; `median` lies between `low` and `high` with 95 %.

    The interval comes from ranks and assumes nothing of the values; below six rounds, which are
    too few for one, it is their whole range.
    """

    values: Sequence[float]

    @classmethod
    def ratio(cls, ours: Sequence[float], base: Sequence[float]) -> Self:
        """Each value by the base's of the same round."""
        return cls([one / other for one, other in zip(ours, base, strict=True)])

    @property
    def median(self) -> float:
        """NaN where nothing was measured."""
        return statistics.median(self.values) if self.values else math.nan

    @property
    def low(self) -> float:
        """Where the interval begins."""
        return sorted(self.values)[self._left_out] if self.values else math.nan

    @property
    def high(self) -> float:
        """Where it ends."""
        return sorted(self.values)[-1 - self._left_out] if self.values else math.nan

    @property
    def _left_out(self) -> int:
        """How many values on each side are outside of the interval.

        How many lie below the true median is binomial with one half.
        """
        count = len(self.values)
        ways = itertools.accumulate(math.comb(count, below) for below in range(count))
        outside = [below for below in ways if below <= _OUTSIDE * 2**count]
        return max(len(outside) - 1, 0)

    def __str__(self) -> str:
        """The median (low-high), as precise as it is large; of one value, that alone."""
        if not self.values:
            return "-"
        digits = next((at for at, size in enumerate((100, 10, 0.1)) if self.median >= size), 3)
        if len(self.values) == 1:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"

    def to_dict(self) -> dict[str, Json]:
        """Return median, interval and all values, which JSON can hold."""
        if not self.values:
            return {"median": None, "low": None, "high": None, "values": []}
        return {
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "values": list(self.values),
        }


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows by name, with a spread in each of the columns; `charted` is the one that says most."""

    title: str
    columns: Sequence[str]
    rows: Mapping[str, Sequence[Spread]]
    charted: str
    note: str = ""

    def markdown(self) -> Iterator[str]:
        """The lines of the table, its title and note before it."""
        yield f"**{self.title}**{': ' if self.note else ''}{self.note}"
        yield ""
        yield f"| | {' | '.join(self.columns)} |"
        yield "|---" * (len(self.columns) + 1) + "|"
        for name, cells in self.rows.items():
            yield f"| {' | '.join([name, *map(str, cells)])} |"

    def to_dict(self) -> dict[str, Json]:
        """Return all of it as plain values that JSON can hold."""
        rows: dict[str, Json] = {
            name: {column: cell.to_dict() for column, cell in zip(self.columns, cells, strict=True)}
            for name, cells in self.rows.items()
        }
        return {"title": self.title, "note": self.note, "rows": rows}
