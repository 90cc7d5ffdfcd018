"""What blindfolded answers say: what was lost, what each way of decoding restores of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from memvr_integrations.evaluate.benchmarks.benchmark import percentages
from memvr_integrations.evaluate.running.statistics import Estimate, Marks, intervals

KINDS = ("Yes", "No", "anything else")
"""What may be the right answer."""

SIGHTED, BLIND = "sighted", "blindfolded"
RIGHT, OTHER, ALIKE, DAMPING = "memvr", "another image", "same theme", "damping"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What one way of decoding gets right, text blindfolded from a layer on (None: not at all).

    In percent: `right` answers, balanced (see `balanced`), the paired `gain` over the blindfold,
    the share `restored` of what the blindfold cost (None where that isn't beyond chance), and how
    far the right image is `over_other` ones. None where a comparison has no meaning.
    """

    from_layer: int | None
    way: str
    right: Estimate
    gain: Estimate | None = None
    restored: Estimate | None = None
    over_other: Estimate | None = None


def as_markdown(lines: Sequence[Restored]) -> str:
    """A table, a line a way."""
    rows = [
        "| blindfold | decoding | right | over the blindfold | restored | over another image |",
        "|---|---|---|---|---|---|",
    ]
    for line in lines:
        cells = [
            "off" if line.from_layer is None else f"from layer {line.from_layer}",
            line.way,
            str(line.right),
            line.gain.signed() if line.gain else "",
            str(line.restored) if line.restored else "-" if line.gain else "",
            line.over_other.signed() if line.over_other else "",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def mark(way: str, kind: str, right: bool) -> dict[str, int]:
    """The counts of one answer, `kind` being its question's."""
    return {f"{way}/{kind}": 1, f"{way}/{kind}/right": right}


def balanced(counts: Mapping[str, int], way: str) -> float:
    """The mean of the kinds' shares of right answers, in percent; NaN where nothing was asked.

    Who always says the same gets no more than chance.
    """
    shares = percentages(
        {
            kind: (counts.get(f"{way}/{kind}/right", 0), counts.get(f"{way}/{kind}", 0))
            for kind in KINDS
        }
    )
    return sum(shares.values()) / len(shares) if shares else math.nan


def compared(layer: int, ways: Sequence[str], marks: Marks) -> list[Restored]:
    """One line a way; `marks` are sums of `mark` by group, of the sighted answers too."""
    found = intervals(partial(_figures, ways), marks)
    beyond_chance = found[f"{SIGHTED}/gain"].low > 0
    return [
        Restored(
            from_layer=layer,
            way=way,
            right=found[f"{way}/right"],
            gain=found.get(f"{way}/gain"),
            restored=found.get(f"{way}/restored") if beyond_chance else None,
            over_other=found[OTHER] if way == RIGHT else None,
        )
        for way in ways
    ]


def _figures(ways: Sequence[str], counts: Mapping[str, int]) -> dict[str, float]:
    right = {way: balanced(counts, way) for way in (SIGHTED, *ways)}
    blind = right[BLIND]
    lost = right[SIGHTED] - blind
    figures = {OTHER: right[RIGHT] - right[OTHER]}
    for way, value in right.items():
        figures[f"{way}/right"] = value
        if way != BLIND:
            figures[f"{way}/gain"] = value - blind
            if lost:
                figures[f"{way}/restored"] = 100 * (value - blind) / lost
    return figures
