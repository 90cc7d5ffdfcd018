"""Finding MemVR's settings for a model, or that it is better off.

Half of the groups choose among settings, by halving: all settings on few questions, the better
third on more, the best on all. The other half, which chose nothing, has to confirm the choice.
"""

import datetime
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import TypeAlias

from tqdm import tqdm

from memvr_integrations import __version__
from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import Benchmark, Question
from memvr_integrations.evaluate.running.asking import Asking, Strategy
from memvr_integrations.evaluate.running.evaluation import (
    answered_by_all,
    compare,
    first_groups,
    identity,
    marks_of,
)
from memvr_integrations.evaluate.running.runs import ANSWERS, Run
from memvr_integrations.evaluate.running.statistics import Estimate, total
from memvr_integrations.evaluate.running.ways import PLAIN
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types.engine import Engine

Figures: TypeAlias = Mapping[str, float]

THRESHOLDS = (0.6, 0.75, 0.9)
RATIOS = (0.06, 0.12, 0.2, 0.3)
_SHARES = (0.25, 0.5, 1.0)  # of the questions that choose, in each rung
_KEPT = 3  # one of so many goes on to the next rung
LEAST_RECALL, LEAST_LENGTH = 0.99, 0.95
_CONTROLS = ("shuffled", "damping")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was found: settings, or None for "off", and why.

    `held_out` are the best settings' changes on the questions that chose nothing, None where no
    settings got so far. `controls` is what the figure that counted did there, under the same
    settings, when another image was retraced and when nothing was.
    """

    config: MemVRConfig | None
    reason: str
    tried: int
    held_out: Mapping[str, Estimate] | None
    controls: Mapping[str, Estimate] = field(default_factory=dict)

    def save(self, path: Path, *, model: str, benchmark: str) -> None:
        """Write a file that `memvr=` takes."""
        found = {
            "memvr": self.config.to_dict() if self.config else None,
            "model": model,
            "benchmark": benchmark,
            "reason": self.reason,
            "tried": self.tried,
            "held_out": {name: one.signed() for name, one in (self.held_out or {}).items()},
            "controls": {name: one.signed() for name, one in self.controls.items()},
            "date": str(datetime.date.today()),
            "version": __version__,
        }
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def candidates(layers: int, base: MemVRConfig) -> Iterator[MemVRConfig]:
    """Settings to be tried: the window of `base`, an early and a late one; thresholds; ratios."""
    width = max(2, layers // 3)
    windows = {
        (base.starting_layer, base.ending_layer),
        (0, width + 1),
        (max(0, layers - width - 2), layers - 1),
    }
    for start, end in sorted(windows):
        for threshold in THRESHOLDS:
            for ratio in RATIOS:
                yield replace(
                    base,
                    starting_layer=start,
                    ending_layer=end,
                    entropy_threshold=threshold,
                    retracing_ratio=ratio,
                )


class Calibrating:
    """One calibration; what was asked is kept in a folder, so that it goes on when stopped."""

    def __init__(
        self,
        engine: Engine,
        benchmark: Benchmark,
        settings: Sequence[MemVRConfig],
        folder: Path,
        *,
        limit: int | None = 100,
        minutes: float = 30.0,
        batch: int = 8,
        progress: bool = True,
    ) -> None:
        """`limit` bounds the groups, `minutes` the time in which settings are chosen.

        Confirming comes after that: asking one half of the questions up to four times.
        """
        self._benchmark, self._silent = benchmark, not progress
        self._ways = [Strategy(name=_named(one), memvr=one) for one in settings]
        self._choosing, self._confirming = _halves(benchmark.questions, limit)
        if not self._choosing or not self._confirming:
            raise BenchmarkError(
                f"{benchmark.name} has too few groups of questions to choose settings on some and "
                "confirm them on others; give more images."
            )
        questions = [*self._choosing, *self._confirming]
        self._run = Run(
            folder,
            {
                "calibration of": engine.name,
                **identity(benchmark, questions),
                "settings": len(self._ways),
                "version": __version__,
            },
            ways={way.name: way.to_dict() for way in self._ways},
        )
        self._asking = Asking(engine, self._run, batch=batch, progress=False)
        self._end, self._tried = time.monotonic() + 60 * minutes, set[str]()

    def find(self) -> Calibration:
        """Choose settings, confirm them, or say "off".

        Raises:
            ConfigError: Another process is at it.
            BenchmarkError: No figure of the benchmark says what is better.
        """
        with self._run.alone():
            return self._found()

    def _found(self) -> Calibration:
        left = list(self._ways)
        for share in _SHARES:
            ranked = self._ranked(left, share)
            left = [way for _, _, way in ranked[: max(1, len(ranked) // _KEPT)]]
            if time.monotonic() > self._end:
                break
        # Few questions rank settings; only here it counts whether they gained and lost nothing.
        keeps, worth, way = ranked[0]
        if not keeps or worth <= 0:
            return self._off("no settings gained without a loss of recall, length or accuracy")
        return self._confirmed(way)

    def _off(self, reason: str, held_out: Mapping[str, Estimate] | None = None) -> Calibration:
        return Calibration(config=None, reason=reason, tried=len(self._tried), held_out=held_out)

    def _ranked(self, ways: Sequence[Strategy], share: float) -> list[tuple[bool, float, Strategy]]:
        """Whether settings keep every constraint, and what they gain; the best first."""
        groups = len({question.group for question in self._choosing})
        questions = first_groups(self._choosing, max(1, round(share * groups)))
        found: list[tuple[bool, float, Strategy]] = []
        bar = tqdm(ways, desc=f"Choosing on {len(questions)}", disable=self._silent)
        for way in bar:
            if found and time.monotonic() > self._end:
                break
            self._tried.add(way.name)
            before, after = self._figures(way, questions)
            name, sign = goal(before)
            # Who names nothing has no CHAIR: that is no gain.
            worth = sign * (after.get(name, before[name]) - before[name])
            found.append((broken(before, after) is None, worth, way))
        return sorted(found, key=itemgetter(0, 1), reverse=True)

    def _confirmed(self, way: Strategy) -> Calibration:
        before, after = self._figures(way, self._confirming)
        failed, (name, sign) = broken(before, after), goal(before)
        changes = self._changes(way)
        change = changes.get(name)
        if change is None:
            undefined = f"the best settings leave {name} undefined on questions that chose nothing"
            return self._off(undefined, changes)
        reason = f"{name} {change.signed()} on questions that chose nothing"
        if failed is not None or not (change.low > 0 if sign > 0 else change.high < 0):
            return self._off(failed or f"{reason}: it may be chance", changes)
        assert way.memvr is not None
        controls: dict[str, Estimate] = {}
        for control in _CONTROLS:
            config = way.memvr.changed({"control": control})
            found = self._changes(Strategy(name=f"{way.name}, {control}", memvr=config))
            if name in found:  # who names nothing gains nothing
                controls[control] = found[name]
        return Calibration(
            config=way.memvr,
            reason=f"{reason}; {_beside(controls, change.value, sign)}",
            tried=len(self._tried),
            held_out=changes,
            controls=controls,
        )

    def _changes(self, way: Strategy) -> Mapping[str, Estimate]:
        """What some settings change on the questions that chose nothing."""
        self._asking.ask(self._confirming, [Strategy(name=PLAIN), way], [0])
        kept = {question.id for question in self._confirming}
        _, line = compare(self._benchmark, self._run, [PLAIN, way.name], [0], only=kept)
        return line.changes

    def _figures(self, way: Strategy, questions: Sequence[Question]) -> tuple[Figures, Figures]:
        """Plain decoding's figures, and some settings'; asks what was not asked yet."""
        self._asking.ask(questions, [Strategy(name=PLAIN), way], [0])
        kept = {question.id for question in questions}
        common = answered_by_all(self._run, [PLAIN, way.name], [0], kept)
        if not common[0] or not self._run.texts(way.name, 0).keys() & common[0]:
            raise BenchmarkError(
                f"No question was answered both plainly and with {way.name!r}; "
                f"{self._run.folder / ANSWERS} says why."
            )
        before, after = (
            self._benchmark.figures(total(marks_of(self._benchmark, self._run, name, common)))
            for name in (PLAIN, way.name)
        )
        return before, after


def goal(figures: Figures) -> tuple[str, int]:
    """The figure that is to get better, and whether up (1) or down (-1).

    Raises:
        BenchmarkError: The benchmark has none that says what is better.
    """
    for ending, sign in (("CHAIR_I", -1), ("official/accuracy", 1), ("accuracy", 1)):
        for name in figures:
            if name == ending or name.endswith(f"/{ending}"):
                return name, sign
    raise BenchmarkError(
        f"No figure of this benchmark says what is better ({', '.join(figures)}); calibrate "
        "on one with CHAIR or accuracy."
    )


def broken(plain: Figures, other: Figures) -> str | None:
    """Which constraint does not hold, in words; None where all do."""
    for name in plain.keys() & other.keys():
        before, after, end = plain[name], other[name], name.rsplit("/", 1)[-1]
        least = {"recall": LEAST_RECALL, "length, words": LEAST_LENGTH}.get(end)
        # A yes/no recall is no constraint: saying the same to all would hold it.
        if end == "recall" and f"{name.removesuffix(end)}CHAIR_I" not in plain:
            least = None
        if least is not None and after < least * before:
            return f"{name} fell from {before:.1f} to {after:.1f}, below {least:.0%} of it"
        if name.endswith("official/accuracy") and after < before:
            return f"{name} fell from {before:.1f} to {after:.1f}"
    return None


def _beside(controls: Mapping[str, Estimate], value: float, sign: int) -> str:
    """The controls in words, and what it means where one gains as much."""
    changes = ", ".join(f"{name} {change.signed()}" for name, change in controls.items())
    if not changes:
        return "the controls name nothing"
    if any(sign * change.value >= sign * value for change in controls.values()):
        return f"a control gains as much ({changes}), so it is not what is seen that helps"
    return f"the controls: {changes}"


def _named(config: MemVRConfig) -> str:
    return (
        f"layers {config.starting_layer + 1}-{config.ending_layer - 1}, above "
        f"{config.entropy_threshold:g}, ratio {config.retracing_ratio:g}"
    )


def _halves(
    questions: Sequence[Question], limit: int | None
) -> tuple[list[Question], list[Question]]:
    """Groups by turns, in an order that no file decides."""
    groups = list(dict.fromkeys(question.group for question in questions))[:limit]
    groups.sort(key=lambda group: hashlib.sha256(group.encode()).digest())
    half = set(groups[::2])
    kept = [question for question in questions if question.group in set(groups)]
    return [q for q in kept if q.group in half], [q for q in kept if q.group not in half]
