"""What blindfolded answers say: what was lost, what each way of decoding restores of it.

Answers come as counts by group: for each of `KINDS`, right ones and questions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from memvr_integrations.evaluate.running.statistics import (
    DRAWS,
    Estimate,
    middle,
    resampled_sums,
)

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


def compared(layer: int, sighted: Tensor, hits: Mapping[str, Tensor]) -> list[Restored]:
    """One line a way; all counts (groups, kinds * 2), of the same groups."""
    blind = hits[BLIND]
    lost = _difference(sighted, blind)
    lines = [Restored(from_layer=layer, way=BLIND, right=share_right(blind))]
    for way, found in hits.items():
        if way == BLIND:
            continue
        lines.append(
            Restored(
                from_layer=layer,
                way=way,
                right=share_right(found),
                gain=_difference(found, blind),
                restored=_restored(sighted, blind, found) if lost.low > 0 else None,
                over_other=_difference(found, hits[OTHER]) if way == RIGHT else None,
            )
        )
    return lines


def share_right(hits: Tensor) -> Estimate:
    """Right answers in percent of the questions; `hits` (groups, kinds * 2)."""
    return _estimate(balanced(hits.sum(0)), balanced(resampled_sums(hits, DRAWS)))


def _difference(one: Tensor, other: Tensor) -> Estimate:
    """Paired: both sides are of the same resampled groups."""
    resampled = balanced(resampled_sums(one, DRAWS)) - balanced(resampled_sums(other, DRAWS))
    return _estimate(balanced(one.sum(0)) - balanced(other.sum(0)), resampled)


def _restored(sighted: Tensor, blind: Tensor, found: Tensor) -> Estimate:
    def share(sums: Sequence[Tensor]) -> Tensor:
        seen, lost, now = (balanced(part) for part in sums)
        return 100 * (now - lost) / (seen - lost)

    parts = (sighted, blind, found)
    resampled = share([resampled_sums(part, DRAWS) for part in parts])
    return _estimate(share([part.sum(0) for part in parts]), resampled)


def balanced(sums: Tensor) -> Tensor:
    """The mean of the kinds' shares of right answers, in percent; (..., kinds * 2) to (...).

    Who always says the same gets no more than chance.
    """
    right, asked = sums.unflatten(-1, (len(KINDS), 2)).unbind(-1)
    shares: Tensor = 100 * (right / asked).nanmean(-1)
    return shares


def _estimate(value: Tensor, resampled: Tensor) -> Estimate:
    low, high = middle(resampled)
    return Estimate(float(value), float(low), float(high))
