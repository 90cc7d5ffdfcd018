"""Reads a training log; a stage that was trained on with new steps counts as one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOG = "training.jsonl"
"""The log that is kept with a finished model."""

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
    after the one before it in its stage begins the next run.
    """
    done: dict[str, tuple[int, float]] = {}
    latest: dict[str, tuple[int, float]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        stage, step, minutes = entry["stage"], entry["step"], entry["minutes"]
        steps, spent = done.get(stage, (0, 0.0))
        last, lasted = latest.get(stage, (0, 0.0))
        if step <= last:
            steps, spent = done[stage] = (steps + last, spent + lasted)
        latest[stage] = step, minutes
        figures = {name: float(entry[name]) for name in entry if name not in _NO_FIGURES}
        yield Entry(stage=stage, step=steps + step, minutes=spent + minutes, figures=figures)
