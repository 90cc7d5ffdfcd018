"""What a figure's name says about it: which way is better, and in what unit it is."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from memvr_integrations.evaluate.benchmarks.scoring.yes_no import OFFICIAL, PARSERS
from memvr_integrations.evaluate.running.statistics import Estimate

Direction: TypeAlias = Literal["higher", "lower"]

_HIGHER: tuple[str, ...] = (
    "accuracy",
    "precision",
    "recall",
    "F1",
    "acc",
    "acc+",
    "score",
    "perception",
)
_HIGHER += ("cognition", "total", "aAcc", "fAcc", "qAcc", "pair accuracy", "Cover")
_LOWER = ("CHAIR", "CHAIR_I", "CHAIR_S", "Hal", "Cog", "unsure")
_SUMS = ("score", "perception", "cognition", "total")
_PRINCIPAL = ("CHAIR_I", "CHAIR", "accuracy", "aAcc", "pair accuracy", "total")
_COST_DIRECTIONS: dict[str, Direction] = {
    "tokens a second": "higher",
    "peak memory, GB": "lower",
    "questions that failed": "lower",
}


def better(name: str) -> Direction | None:
    """Which way a figure, or a cost, is better; None where neither way is, or nobody knows.

    A shifted yes-ratio or another length is a change, and no gain.
    """
    last = _last(name)
    if last in _HIGHER:
        return "higher"
    return "lower" if last in _LOWER else _COST_DIRECTIONS.get(name)


def unit(name: str) -> str | None:
    """What a figure is counted in: "%", "words", "points" of a sum; None where nobody knows."""
    last = _last(name)
    if last in _SUMS:
        return "points"
    _, comma, after = last.partition(", ")
    if comma:
        return after
    return "%" if better(name) or last in ("yes ratio", "unanswerable") else None


def headline(name: str) -> bool:
    """Whether a figure is shown first: of yes/no questions some, as the official parser reads."""
    *path, last = name.split("/")
    if OFFICIAL in path:
        return last in ("accuracy", "F1", "yes ratio")
    return not any(parser in path for parser in PARSERS)


def principal(names: Sequence[str]) -> list[str]:
    """The figures that a verdict is about; all that are better one way where none is known."""
    known = [name for name in names if better(name) and headline(name)]
    first = [name for name in known if _last(name) in _PRINCIPAL]
    # Of all kinds together where there is such a figure, rather than of each.
    whole = [name for name in first if "/" not in name]
    return whole or first or known


def is_sure(change: Estimate) -> bool:
    """Whether a difference's interval leaves out zero."""
    return change.low > 0 or change.high < 0


def gain(name: str, change: Estimate) -> bool | None:
    """Whether a difference is shown to be for the better; None where it isn't shown, or neither."""
    direction = better(name)
    if direction is None or not is_sure(change):
        return None
    return (change.value > 0) == (direction == "higher")


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]
