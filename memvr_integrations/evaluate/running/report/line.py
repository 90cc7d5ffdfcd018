"""One strategy's results, and the cells of a table that sets strategies side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from memvr_integrations.evaluate.running.statistics import Estimate


@dataclass(frozen=True, kw_only=True)
class Line:
    """One strategy's results; `changes` are paired differences to the first strategy.

    `p` is that of McNemar's test of right against wrong answers, None where none is right or
    wrong. `other` is how many answers are not the first strategy's to the letter, and of how many.
    `length` is in tokens an answer, `retraced` the share of tokens, `peak_bytes` the
    device's memory where it can be known.
    """

    strategy: str
    figures: Mapping[str, Estimate]
    changes: Mapping[str, Estimate] = field(default_factory=dict)
    p: float | None = None
    other: tuple[int, int] | None = None
    answered: int = 0
    failed: int = 0
    length: float = 0.0
    retraced: float = 0.0
    tokens_per_second: float = 0.0
    peak_bytes: int | None = None


def rows(lines: Sequence[Line], names: Sequence[str]) -> Iterator[list[str]]:
    """A table's cells for the named figures, the heads first; then what the answers cost."""
    first, *others = lines
    heads = ["", first.strategy]
    for line in others:
        heads += [line.strategy, f"{line.strategy} - {first.strategy}"]
    yield heads
    for name in names:
        cells = [name, estimate(first, name)]
        for line in others:
            changed = line.changes.get(name)
            cells += [estimate(line, name), changed.signed() if changed else ""]
        yield cells
    for name, paid in costs(lines).items():
        cells = [name, paid[0]]
        for cost in paid[1:]:
            cells += [cost, ""]
        yield cells


def figure_names(lines: Sequence[Line]) -> list[str]:
    """All figures that some strategy has: one that never says yes has no precision."""
    return list(dict.fromkeys(name for line in lines for name in line.figures))


def estimate(line: Line, name: str) -> str:
    """A figure with its interval; empty where a strategy lacks it."""
    return str(line.figures[name]) if name in line.figures else ""


def costs(lines: Sequence[Line]) -> dict[str, list[str]]:
    """What answers are like and what they cost, by strategy."""
    first = lines[0].strategy
    paid = {
        f"answers other than {first}'s": [
            "" if line.other is None else "{} of {}".format(*line.other) for line in lines
        ],
        "McNemar's p": ["" if line.p is None else _chance(line.p) for line in lines],
        "tokens an answer": [f"{line.length:.1f}" for line in lines],
        "tokens that retraced": [f"{line.retraced:.1%}" for line in lines],
        "tokens a second": [f"{line.tokens_per_second:.1f}" for line in lines],
        "peak memory, GB": [
            f"{line.peak_bytes / 1e9:.2f}" if line.peak_bytes else "" for line in lines
        ],
        "questions that failed": [str(line.failed) if line.failed else "" for line in lines],
    }
    return {name: cells for name, cells in paid.items() if any(cells)}


def _chance(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"
