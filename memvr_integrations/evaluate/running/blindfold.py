"""The blindfold: how much of what attention loses does retracing restore? On any model.

Text may not attend to the images from a layer on. What a model still gets right then, with and
without retracing, says how much sight retracing carries; what it gets right when it retraces
another image says how much of that is none. Settings are chosen on a quarter of the images,
everything that is reported was measured on the others.
"""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from memvr_integrations import __version__
from memvr_integrations.backend import Backend
from memvr_integrations.errors import BenchmarkError, ConfigError
from memvr_integrations.evaluate.benchmarks.benchmark import Benchmark, Question, Themed
from memvr_integrations.evaluate.running.asking import Asking, Strategy
from memvr_integrations.evaluate.running.evaluation import first_groups, identity, machine
from memvr_integrations.evaluate.running.restoration import (
    ALIKE,
    BLIND,
    DAMPING,
    KINDS,
    OTHER,
    RIGHT,
    SIGHTED,
    Restored,
    as_markdown,
    balanced,
    compared,
    mark,
)
from memvr_integrations.evaluate.running.runs import ANSWERS, Run
from memvr_integrations.evaluate.running.statistics import intervals, total
from memvr_integrations.memvr import MemVRConfig, blindfolded

NAME = "blindfold"
TABLE, FIGURES = "blindfold.md", "blindfold.jsonl"
_RATIOS = (0.12, 0.3, 0.6)
_DEV = 4  # every fourth image is for choosing the setting

_NOTE = """\
{about}

"Right" is balanced: half of it is the questions to be answered with yes, half those with no, so
that always saying the same is worth 50. From each layer on, text could not attend to the image.
"Restored" is a way's gain over the blindfold as a share of what the blindfold cost; "-" where that
cost is not beyond chance. "Over another image" is what the right image brings beyond the same
arithmetic with a wrong one: sight. In percent, with 95 % intervals by bootstrap over {test} images.

Settings, chosen on {dev} other images:

{settings}
"""


class Blindfold:
    """One measurement, in a folder that keeps every answer; what was stopped goes on."""

    def __init__(
        self,
        backend: Backend,
        benchmark: Benchmark,
        folder: Path,
        *,
        limit: int | None = None,
        batch: int = 8,
        progress: bool = True,
    ) -> None:
        """Take the judged questions about the first `limit` groups.

        Raises:
            BenchmarkError: The benchmark doesn't judge answers one by one.
            ConfigError: There are too few images.
        """
        self._backend, self._benchmark = backend, benchmark
        self._folder, self._batch, self._progress = folder, batch, progress
        self._kinds = _kinds(benchmark)
        if not self._kinds:
            raise BenchmarkError(
                f"{benchmark.name!r} has no answers that are right or wrong by themselves; take "
                "one with such, like scenes or pope."
            )
        kept = [one for one in benchmark.questions if one.id in self._kinds and one.images]
        kept = first_groups(kept, limit)
        groups = list(dict.fromkeys(one.group for one in kept))
        if len(groups) < 2 * _DEV:
            raise ConfigError(
                f"{len(groups)} images are too few to choose a setting on some and measure on the "
                f"others; take at least {2 * _DEV}."
            )
        dev = set(groups[::_DEV])
        self._test_groups = [group for group in groups if group not in dev]
        self._dev = [one for one in kept if one.group in dev]
        self._test = [one for one in kept if one.group not in dev]
        self._chosen: dict[int, MemVRConfig] = {}

    def measure(self, layers: Sequence[int]) -> list[Restored]:
        """Measure with text blindfolded from each of `layers` on, and write the table.

        Raises:
            ConfigError: The model has no such layer; or the folder holds something else.
            UnsupportedModelError: The model can't be blindfolded.
        """
        for layer in layers:
            with blindfolded(self._backend.model, from_layer=layer):
                pass
        sighted = self._marks(None, self._test, [Strategy(name=SIGHTED)])
        right = intervals(lambda counts: {SIGHTED: balanced(counts, SIGHTED)}, sighted)[SIGHTED]
        lines = [Restored(from_layer=None, way=SIGHTED, right=right)]
        for layer in layers:
            self._chosen[layer] = self._choose(layer)
            ways = self._ways(self._chosen[layer])
            marks = self._marks(layer, self._test, ways)
            joined = {group: counts + sighted[group] for group, counts in marks.items()}
            lines += compared(layer, [way.name for way in ways], joined)
        self._write(lines)
        return lines

    def _choose(self, layer: int) -> MemVRConfig:
        """The setting with most right answers on the dev images; the first where they are even."""
        named = {f"dev {name}": config for name, config in self._settings().items()}
        ways = [Strategy(name=name, memvr=config) for name, config in named.items()]
        counts = total(self._marks(layer, self._dev, ways))
        return named[max(named, key=lambda name: balanced(counts, name))]

    def _settings(self) -> dict[str, MemVRConfig]:
        """The preset, and triggering always: where it would, or after some of the layers."""
        preset, layers = self._backend.preset, self._backend.layers
        starts = {preset.starting_layer, *(start for start in default_layers(layers) if start)}
        always = {
            f"always after {start} at {ratio}": preset.changed(
                {
                    "starting_layer": start,
                    "ending_layer": max(preset.ending_layer, start + 2),
                    "entropy_threshold": 0.0,
                    "retracing_ratio": ratio,
                }
            )
            for start in sorted(starts)
            if start + 2 < layers  # which is the layer that retraces
            for ratio in _RATIOS
        }
        return {"preset": preset, **always}

    def _ways(self, config: MemVRConfig) -> list[Strategy]:
        shuffled = config.changed({"control": "shuffled"})
        ways = [
            Strategy(name=BLIND),
            Strategy(name=RIGHT, memvr=config),
            Strategy(name=OTHER, memvr=shuffled),
            Strategy(name=DAMPING, memvr=config.changed({"control": "damping"})),
        ]
        if isinstance(self._benchmark, Themed):
            shown = {one.group: one.images for one in self._benchmark.questions if one.images}
            pairs = {group: self._benchmark.alike(group) for group in self._test_groups}
            if all(pairs.values()):
                others = {group: shown[other] for group, other in pairs.items() if other}
                ways.insert(3, Strategy(name=ALIKE, memvr=shuffled, others=others))
        return ways

    def _marks(
        self, layer: int | None, questions: Sequence[Question], ways: Sequence[Strategy]
    ) -> dict[str, Counter[str]]:
        """Counts by group; a question counts where all ways have answered it."""
        part = "dev" if questions is self._dev else "test"
        run = Run(
            self._folder / (SIGHTED if layer is None else f"{part}-from-{layer}"),
            {
                **identity(self._benchmark, questions),
                "questions": len(questions),
                "model": self._backend.name,
                "version": __version__,
                NAME: layer,
            },
            ways={way.name: way.to_dict() for way in ways},
        )
        hiding: AbstractContextManager[None] = nullcontext()
        if layer is not None:
            hiding = blindfolded(self._backend.model, from_layer=layer)
        with run.alone(), hiding:
            asking = Asking(self._backend, run, batch=self._batch, progress=self._progress)
            asking.ask(questions, ways, [0])
        judged = {way.name: self._benchmark.right(run.texts(way.name, 0)) for way in ways}
        common = set.intersection(*(set(right) for right in judged.values()))
        if not common:
            raise BenchmarkError(
                f"No question was answered in all ways; {run.folder / ANSWERS} says why."
            )
        marks: dict[str, Counter[str]] = {question.group: Counter() for question in questions}
        for question in questions:
            if question.id in common:
                for name, right in judged.items():
                    kind = self._kinds[question.id]
                    marks[question.group].update(mark(name, kind, right[question.id]))
        return marks

    def _write(self, lines: Sequence[Restored]) -> None:
        about = f"{self._benchmark.name}, {len(self._test)} questions, {self._backend.name}."
        settings = "\n".join(
            f"- from layer {layer}: window {config.starting_layer}-{config.ending_layer}, "
            f"threshold {config.entropy_threshold}, ratio {config.retracing_ratio}"
            for layer, config in self._chosen.items()
        )
        note = _NOTE.format(
            about=f"{about} {machine()}.",
            dev=len({one.group for one in self._dev}),
            settings=settings,
            test=len(self._test_groups),
        )
        (self._folder / TABLE).write_text(f"{as_markdown(lines)}\n\n{note}", encoding="utf-8")
        written = "".join(json.dumps(asdict(line)) + "\n" for line in lines)
        (self._folder / FIGURES).write_text(written, encoding="utf-8")


def default_layers(depth: int) -> list[int]:
    """Nothing seen, a quarter of the layers, half of them."""
    return sorted({0, depth // 4, depth // 2})


def _kinds(benchmark: Benchmark) -> dict[str, str]:
    """For every judged question which of `KINDS` is right."""
    yes, no = (
        benchmark.right({question.id: said for question in benchmark.questions})
        for said in KINDS[:2]
    )
    return {name: KINDS[0 if yes[name] else 1 if no[name] else 2] for name in yes}
