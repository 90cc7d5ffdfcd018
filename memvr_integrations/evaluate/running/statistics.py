"""How sure a figure is: intervals by bootstrap over groups, paired differences, McNemar's test.

Groups are drawn, not questions: what is asked about one image is not independent. A figure is
computed anew from the sums of each draw, so any figure of any benchmark has its interval.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from memvr_integrations.errors import BenchmarkError

DRAWS = 2000
_SHARE_DRAWS = 1000
_AT_ONCE = 200  # draws held in memory: thousands of images times this

Marks: TypeAlias = Mapping[str, Mapping[str, int]]
"""Counts by group, as a benchmark's `marks` gives them."""

Figures: TypeAlias = Callable[[Mapping[str, int]], Mapping[str, float]]
"""From summed counts to figures: a benchmark's `figures`."""


@dataclass(frozen=True)
class Estimate:
    """A figure, mostly in percent, and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"

    def signed(self) -> str:
        """The same as a difference, with its sign."""
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def share(hits: Tensor, total: Tensor | None = None) -> Estimate:
    """The ratio of two sums over images, in percent.

    Shapes: `hits` and `total` (images,); without `total` every image counts once. Negative hits
    make it a paired difference.
    """
    hits = hits.double()
    total = torch.ones_like(hits) if total is None else total.double()
    drawn, whole = _resampled_sums(torch.stack([hits, total], 1)).unbind(1)
    low, high = _middle(100 * drawn / whole)
    return Estimate(float(100 * hits.sum() / total.sum()), float(low), float(high))


def by_image(values: Tensor, owners: Sequence[int], images: int) -> Tensor:
    """Sums of per-question values over the questions of each image; (images,)."""
    sums = torch.zeros(images, dtype=torch.float64)
    return sums.index_add_(0, torch.tensor(list(owners), dtype=torch.long), values.double())


def _resampled_sums(values: Tensor, draws: int = _SHARE_DRAWS) -> Tensor:
    """Sums over images that are drawn anew, with replacement; always the same draws.

    Shapes: `values` (images, columns); the result (draws, columns).
    """
    generator = torch.Generator().manual_seed(0)
    images, parts = len(values), []
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        drawn = torch.randint(images, (size, images), generator=generator)
        counts = torch.zeros(size, images, dtype=torch.float64)
        counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
        parts.append(counts @ values.double())
    return torch.cat(parts)


def _middle(values: Tensor) -> tuple[Tensor, Tensor]:
    """The ends of the middle 95 % of each column, without NaNs; (draws, ...) -> (...) twice."""
    low, high = values.nanquantile(torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    return low, high


def total(marks: Marks) -> Counter[str]:
    """The sum of all groups' counts."""
    sums: Counter[str] = Counter()
    for counts in marks.values():
        sums.update(counts)
    return sums


def intervals(figures: Figures, marks: Marks, *, draws: int = DRAWS) -> dict[str, Estimate]:
    """Every figure with its 95 % interval; none where there are no groups.

    Draws in which a figure is undefined don't count for it.
    """
    values = figures(total(marks))
    if not values:
        return {}
    drawn = _drawn_figures(figures, marks, list(marks), list(values), draws)
    return _estimates(values, drawn)


def paired_differences(
    figures: Figures, before: Marks, after: Marks, *, draws: int = DRAWS
) -> dict[str, Estimate]:
    """`after` less `before` for every figure that both have, with its 95 % interval.

    Both sides of a difference are computed from the same drawn groups, so what makes a group hard
    or easy cancels out.

    Raises:
        BenchmarkError: The two sets of answers are not about the same groups.
    """
    if before.keys() != after.keys():
        lone = sorted(before.keys() ^ after.keys())
        raise BenchmarkError(
            f"Only answers to the same questions can be compared in pairs; {len(lone)} groups are "
            f"in one set of answers alone, the first is {lone[0]!r}."
        )
    old, new = figures(total(before)), figures(total(after))
    values = {name: new[name] - old[name] for name in new if name in old}
    if not values:
        return {}
    groups, names = list(before), list(values)
    drawn = _drawn_figures(figures, after, groups, names, draws)
    drawn -= _drawn_figures(figures, before, groups, names, draws)
    return _estimates(values, drawn)


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Which answers changed between right and wrong, and how likely that is by chance.

    `p` is two-sided and exact: that of a fair coin thrown once for each change.
    """

    gained: int
    lost: int
    p: float


def mcnemar(before: Mapping[str, bool], after: Mapping[str, bool]) -> McNemar:
    """McNemar's exact test on answers that are right or wrong, by question id.

    Questions are taken as independent, which those about one image are not: read it beside the
    paired difference, which draws images.

    Raises:
        BenchmarkError: The two sets of answers are not about the same questions.
    """
    if before.keys() != after.keys():
        raise BenchmarkError(
            f"Only answers to the same questions can be compared in pairs; "
            f"{len(before.keys() ^ after.keys())} questions are answered on one side alone."
        )
    gained = sum(after[one] and not before[one] for one in before)
    lost = sum(before[one] and not after[one] for one in before)
    changes, fewer = gained + lost, min(gained, lost)
    tail = ways = 1
    for count in range(fewer):  # how many ways to choose one change more
        ways = ways * (changes - count) // (count + 1)
        tail += ways
    return McNemar(gained=gained, lost=lost, p=min(1.0, 2 * tail / 2**changes))


def _drawn_figures(
    figures: Figures, marks: Marks, groups: Sequence[str], names: Sequence[str], draws: int
) -> Tensor:
    """The named figures in each draw, NaN where undefined; (draws, names)."""
    keys = sorted({key for counts in marks.values() for key in counts})
    table = torch.tensor(
        [[marks[group].get(key, 0) for key in keys] for group in groups], dtype=torch.float64
    )
    # Of few groups many draws are the same.
    sums, places = _resampled_sums(table, draws).round().long().unique(dim=0, return_inverse=True)
    rows = []
    for counts in sums.tolist():
        values = figures(dict(zip(keys, counts, strict=True)))
        rows.append([values.get(name, math.nan) for name in names])
    return torch.tensor(rows, dtype=torch.float64)[places]


def _estimates(values: Mapping[str, float], drawn: Tensor) -> dict[str, Estimate]:
    lows, highs = _middle(drawn)
    return {
        name: Estimate(value, low, high)
        for (name, value), low, high in zip(
            values.items(), lows.tolist(), highs.tolist(), strict=True
        )
    }
