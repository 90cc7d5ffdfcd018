"""Reads a training log; a stage that was trained on with new steps is told as one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NO_FIGURES = frozenset({"stage", "step", "minutes", "images/s"})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of a log: what a stage had done in all its runs until then, and its figures."""

    stage: str
    step: int
    minutes: float
    figures: dict[str, float]


def read_log(log: Path) -> Iterator[Entry]:
    """The lines of a log.

    A run that begins with the weights of another counts from one again, so a step that isn't
    behind the one before it in its stage begins the next run.
    """
    done: dict[str, tuple[int, float]] = {}
    latest: dict[str, tuple[int, float]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        stage, step, minutes = told["stage"], told["step"], told["minutes"]
        steps, spent = done.get(stage, (0, 0.0))
        last, lasted = latest.get(stage, (0, 0.0))
        if step <= last:
            steps, spent = done[stage] = (steps + last, spent + lasted)
        latest[stage] = step, minutes
        figures = {name: float(told[name]) for name in told if name not in _NO_FIGURES}
        yield Entry(stage=stage, step=steps + step, minutes=spent + minutes, figures=figures)
