"""Tries the bundled model with MemVR off, on, and under the controls; gives lines of tables.

Settings are chosen on a dev split and judged on a test split; every figure of MemVR stands beside
its controls: another image's visual tokens (any, or one of the same theme), and plain damping of
the FFN. What the controls can do as well is not sight.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bundled_model.art.degrade import KINDS, degrade
from bundled_model.exam.examinee import Examinee, Pictures, Prompt, about, says_yes
from bundled_model.exam.processes import Processes
from bundled_model.exam.scene_marks import auc, caption_counts
from memvr_integrations.bundled.world import Scene, with_article
from memvr_integrations.errors import RequestError
from memvr_integrations.evaluate import by_image, share
from memvr_integrations.evaluate.benchmarks.scene_questions import CAPTION, SHORT, Question, exam
from memvr_integrations.memvr import MemVRConfig

_STRENGTH = 0.8
_WINDOWS = ((1, 6), (4, 11), (-1, 11))
_THRESHOLDS = (0.75, 0.3, 0.0)
_RATIOS = (0.12, 0.6)
CONTROLS = ("another image", "same theme", "damping")
OFF, RIGHT = "off", "MemVR"


def ways(config: MemVRConfig) -> dict[str, tuple[MemVRConfig | None, str | None]]:
    """Every way of decoding by its name in tables: what MemVR does, and under which control."""
    return {OFF: (None, None), RIGHT: (config, None)} | {name: (config, name) for name in CONTROLS}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Scenes, their pictures as they are shown, and the yes/no questions about them."""

    name: str
    scenes: Sequence[Scene]
    pictures: Pictures
    questions: Sequence[Question]

    @property
    def prompts(self) -> list[Prompt]:
        """The questions as they are asked."""
        return [
            about(one.scene, f"Is there {with_article(one.name)} in the image?{SHORT}")
            for one in self.questions
        ]

    @property
    def truth(self) -> Tensor:
        """Right answers, (questions,) bool."""
        return torch.tensor([question.truth for question in self.questions])

    @property
    def owners(self) -> list[int]:
        """The scene of each question."""
        return [question.scene for question in self.questions]

    def other_image(self) -> Pictures:
        """The picture of some other scene, for each scene."""
        return [self.pictures[self._another(index)] for index in range(len(self.scenes))]

    def same_theme(self) -> Pictures:
        """The picture of another scene of the same theme, of any where there is none."""
        themes: dict[str, list[int]] = {}
        for index, scene in enumerate(self.scenes):
            themes.setdefault(scene.theme, []).append(index)
        other = {
            index: members[(at + 1) % len(members)] if len(members) > 1 else self._another(index)
            for members in themes.values()
            for at, index in enumerate(members)
        }
        return [self.pictures[other[index]] for index in range(len(self.scenes))]

    def _another(self, index: int) -> int:
        if len(self.scenes) < 2:
            raise RequestError(
                f"The control needs another image, but {self.name!r} has one scene; take two."
            )
        return (index - max(1, len(self.scenes) // 2)) % len(self.scenes)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one way of decoding answered under one condition.

    Shapes: `yes` (questions,) bool, what was answered; `triggered` (questions,) bool.
    """

    yes: Tensor
    triggered: Tensor

    def right(self, condition: Condition) -> Tensor:
        """Which answers are right, (questions,) bool."""
        return self.yes == condition.truth


class Evidence:
    """Runs the measurements and holds what they need."""

    def __init__(self, examinee: Examinee, themes: Sequence[str]) -> None:
        self.examinee, self.themes = examinee, themes

    def condition(self, name: str, scenes: Sequence[Scene], kind: str | None = None) -> Condition:
        """Show scenes, degraded where `kind` says so ("mixed" takes every kind in turn)."""
        noise = np.random.default_rng(0)
        pictures = []
        for index, scene in enumerate(scenes):
            how = KINDS[index % len(KINDS)] if kind == "mixed" else kind
            shown = degrade(scene.pixels, how, _STRENGTH, noise) if how else scene.pixels
            pictures.append(shown)
        return Condition(
            name=name,
            scenes=scenes,
            pictures=pictures,
            questions=exam(scenes, themes=self.themes),
        )

    def ask(
        self, condition: Condition, config: MemVRConfig | None, control: str | None = None
    ) -> Outcome:
        """All yes/no questions of a condition, each to be answered in a word."""
        config, instead = _controlled(condition, config, control)
        done = self.examinee.ask(
            condition.pictures, condition.prompts, config=config, instead=instead, tokens=1
        )
        return Outcome(
            yes=torch.tensor([says_yes(one) for one in done]),
            triggered=torch.tensor([one.retraced > 0 for one in done]),
        )

    def auc(
        self, condition: Condition, config: MemVRConfig | None, control: str | None = None
    ) -> float:
        """How well yes is parted from no whatever the threshold, in percent."""
        config, instead = _controlled(condition, config, control)
        margins = self.examinee.leanings(
            condition.pictures, condition.prompts, config=config, instead=instead
        )
        return 100 * auc(margins, condition.truth)

    def captions(
        self, condition: Condition, config: MemVRConfig | None, control: str | None = None
    ) -> Tensor:
        """Counts of `caption_counts` for every scene."""
        config, instead = _controlled(condition, config, control)
        asked = [about(index, CAPTION) for index in range(len(condition.scenes))]
        done = self.examinee.ask(condition.pictures, asked, config=config, instead=instead)
        return caption_counts(condition.scenes, [one.text for one in done])


def _controlled(
    condition: Condition, config: MemVRConfig | None, control: str | None
) -> tuple[MemVRConfig | None, Pictures | None]:
    if config is None or control is None:
        return config, None
    if control == "damping":
        return config.changed({"control": "damping"}), None
    return config, condition.other_image() if control == CONTROLS[0] else condition.same_theme()


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Every setting's line, the strongest one, and whose joint gains are beyond chance."""

    lines: Sequence[str]
    strongest: MemVRConfig
    beyond_chance: Sequence[MemVRConfig]

    @property
    def verdict(self) -> str:
        """What the gains come to, clean and degraded scenes taken together."""
        if self.strongest in self.beyond_chance:
            return (
                "The strongest setting's joint gain is beyond chance on the dev split; whether it "
                "holds, and whether the controls share it, stands in the tables above."
            )
        if self.beyond_chance:
            return (
                "The strongest setting's joint gain is not beyond chance, but others' are: "
                f"{len(self.beyond_chance)} of them."
            )
        return "No setting's joint gain is beyond chance."


def sweep(processes: Processes, evidence: Evidence, dev: Sequence[Condition]) -> Sweep:
    """Try every setting on the dev split: the same scenes under every condition."""
    lines = [
        "| window | threshold | ratio | triggered | " + " | ".join(c.name for c in dev) + " |",
        "|---|---|---|---|" + "---|" * len(dev),
    ]
    settings = [
        MemVRConfig(
            starting_layer=start,
            ending_layer=end,
            entropy_threshold=threshold,
            retracing_ratio=ratio,
        )
        for (start, end), threshold, ratio in itertools.product(_WINDOWS, _THRESHOLDS, _RATIOS)
    ]
    (plain, *outcomes) = zip(
        *processes.map(partial(_asked, evidence, [None, *settings]), dev), strict=True
    )
    tried: list[tuple[float, bool, MemVRConfig]] = []
    for config, found in zip(settings, outcomes, strict=True):
        gains = [_gain(*parts) for parts in zip(dev, plain, found, strict=True)]
        share_triggered = 100 * torch.cat([one.triggered for one in found]).float().mean()
        cells = " | ".join(share(hits, total).signed() for hits, total in gains)
        window = f"{config.starting_layer}-{config.ending_layer}"
        lines.append(
            f"| {window} | {config.entropy_threshold} | {config.retracing_ratio} "
            f"| {share_triggered:.0f} % | {cells} |"
        )
        # One image, seen in two conditions, is one draw.
        hits, total = (torch.stack(parts).sum(0) for parts in zip(*gains, strict=True))
        joint = share(hits, total)
        tried.append((joint.value, joint.low > 0, config))
    _, _, strongest = max(tried, key=lambda one: one[0])
    beyond = [config for _, beyond_chance, config in tried if beyond_chance]
    return Sweep(lines=lines, strongest=strongest, beyond_chance=beyond)


def _asked(
    evidence: Evidence, settings: Sequence[MemVRConfig | None], condition: Condition
) -> list[Outcome]:
    return [evidence.ask(condition, config) for config in settings]


def _gain(condition: Condition, off: Outcome, on: Outcome) -> tuple[Tensor, Tensor]:
    """Per image: answers that became right minus those that became wrong, and questions."""
    change = on.right(condition).double() - off.right(condition).double()
    images, owners = len(condition.scenes), condition.owners
    return (
        by_image(change, owners, images),
        by_image(torch.ones_like(change), owners, images),
    )


def comparison(
    processes: Processes, evidence: Evidence, conditions: Sequence[Condition], config: MemVRConfig
) -> Iterator[str]:
    """MemVR off, on and its controls under every condition: yes/no answers."""
    yield (
        "| scenes | decoding | triggered | accuracy | difference to off | fixed / broke "
        "| yes-share | AUC |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for rows in processes.map(partial(_compared, evidence, config), conditions):
        yield from rows


def _compared(evidence: Evidence, config: MemVRConfig, condition: Condition) -> list[str]:
    images, owners, rows = len(condition.scenes), condition.owners, []
    off = evidence.ask(condition, None)
    before = off.right(condition)
    for name, way in ways(config).items():
        outcome = off if name == OFF else evidence.ask(condition, *way)
        right = outcome.right(condition)
        hits, total = _gain(condition, off, outcome)
        fixed, broke = int((right & ~before).sum()), int((before & ~right).sum())
        cells = [
            condition.name,
            name,
            f"{100 * outcome.triggered.float().mean():.0f} %",
            str(share(by_image(right, owners, images), total)),
            "" if name == OFF else share(hits, total).signed(),
            "" if name == OFF else f"{fixed} / {broke}",
            f"{100 * outcome.yes.float().mean():.1f}",
            f"{evidence.auc(condition, *way):.2f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def caption_comparison(
    processes: Processes, evidence: Evidence, conditions: Sequence[Condition], config: MemVRConfig
) -> Iterator[str]:
    """MemVR off, on and its controls: captions."""
    yield "| scenes | decoding | CHAIR_i | CHAIR_s | recall |"
    yield "|---|---|---|---|---|"
    for rows in processes.map(partial(_captioned, evidence, config), conditions):
        yield from rows


def _captioned(evidence: Evidence, config: MemVRConfig, condition: Condition) -> list[str]:
    rows = []
    for name, way in ways(config).items():
        mentions, wrong, there, named = evidence.captions(condition, *way).T
        cells = [share(wrong, mentions), share(wrong > 0), share(named, there)]
        rows.append(f"| {condition.name} | {name} | " + " | ".join(map(str, cells)) + " |")
    return rows


def entropy_auc(evidence: Evidence, condition: Condition, layers: int) -> Iterator[str]:
    """How well each layer's entropy parts wrong answers from right ones."""
    yield '| layer | mean entropy | AUC for "this answer is wrong" |'
    yield "|---|---|---|"
    for layer in range(layers):
        # A threshold out of reach: the layer is probed and nothing is changed.
        probe = MemVRConfig(starting_layer=layer - 1, ending_layer=layer + 1, entropy_threshold=2.0)
        done = evidence.examinee.ask(condition.pictures, condition.prompts, config=probe, tokens=1)
        entropy = torch.tensor([one.tokens[0].entropy for one in done])
        wrong = torch.tensor([says_yes(one) for one in done]) != condition.truth
        value = 100 * auc(entropy, wrong) if wrong.any() and not wrong.all() else float("nan")
        yield f"| {layer} | {entropy.mean():.3f} | {value:.1f} |"
