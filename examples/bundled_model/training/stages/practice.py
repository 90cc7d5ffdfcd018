"""A stage for finished weights: tools, larger schemas, references, pairs, other languages.

The image tower and the projector stay as they are, so that sight can't be lost. Beside what is
practised stand the old kinds of questions, more of them, on pictures of their own.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bundled_model.conversations.asker import Talk
from bundled_model.conversations.pairs import compare, differs, in_both
from bundled_model.conversations.practised.languages import NOT_ENGLISH, foreign_question
from bundled_model.conversations.practised.records import record
from bundled_model.conversations.practised.references import reference
from bundled_model.conversations.questions import Turn
from bundled_model.conversations.tools import talks as tools
from bundled_model.conversations.tools.drills import drill
from bundled_model.conversations.unknowable import any_class, unknowable
from bundled_model.training import slot_attention
from bundled_model.training.marking import hits
from bundled_model.training.stages.joint import JointStage
from bundled_model.training.stages.vision import watched_scenes
from bundled_model.training.supply import pixels
from bundled_model.training.talker import disagreement
from memvr_integrations.bundled.world import Scene

_PRACTISED = ("llava.model.language_model", "llava.lm_head")
_AGREEING = 0.1  # weight of the smaller loss, as in the joint stage
_WATCHED, _BATCH = 96, 8
_ROOM, _OFTEN = (416, 704), (0.75, 0.25)  # tokens of a talk, and how often
_KINDS = ("record", "reference", "pair", "foreign", "unknowable")  # beside tools


class PracticeStage(JointStage):
    """The language model alone, on old kinds and on what is practised."""

    name = "practice"

    def trains(self, name: str) -> bool:
        """Sight is left alone."""
        return name.startswith(_PRACTISED)

    def losses(self, rng: random.Random, noise: np.random.Generator) -> dict[str, Tensor]:
        """Answers of the old kinds and of those that are practised, and agreement."""
        sizes = [self.config.batch // self.world, self.config.practised // self.world]
        drawn = self.scenes.batch(rng, sum(sizes), self.config.fresh)
        parts = [
            sorted(some, key=lambda scene: scene.theme)  # for what is asked of two pictures
            for some in (drawn[: sizes[0]], drawn[sizes[0] :])
        ]
        talked = [self.talks(parts[0], rng), self.practised(parts[1], rng)]
        found = [
            self._asked(scenes, talks, noise)
            for scenes, talks in zip(parts, talked, strict=True)
            if scenes
        ]
        weight = self.packer.token_weights.to(self.config.device)
        losses = [F.cross_entropy(logits, targets, weight=weight) for logits, targets, _ in found]
        logits, targets, same = found[0]
        margins = self._margins(logits)
        apart = disagreement(margins[same > 0], same[same > 0])
        return {
            "loss": torch.stack(losses).sum() + _AGREEING * apart,
            "answers": losses[0],
            "practised": losses[-1],
            "yes/no": self._yes_no(margins, targets),
            "apart": apart,
        }

    def practised(self, scenes: Sequence[Scene], rng: random.Random) -> list[list[Talk]]:
        """What is practised on each scene; a second picture, or a tool's, is the next one's."""
        others = [*scenes[1:], *scenes[:1]]
        # All rows have slots as long as the longest talk: mostly without the longest ones.
        room = rng.choices(_ROOM, _OFTEN)[0]
        return [
            [
                self._fitting(kind, scene, other, rng, room)
                for kind, times in self.config.mix.items()
                for _ in range(_whole(times, rng))
            ]
            for scene, other in zip(scenes, others, strict=True)
        ]

    def _fitting(
        self, kind: str, scene: Scene, other: Scene, rng: random.Random, room: int
    ) -> Talk:
        while True:
            talk = self.one(kind, scene, other, rng)
            if len(self.packer.row_of([talk]).ids) <= room:
                return talk

    def one(self, kind: str, scene: Scene, other: Scene, rng: random.Random) -> Talk:
        """A conversation of a kind, about a scene or the one after it."""
        themes = self.config.themes
        if kind == "tools":
            return tools.talk(other, rng, themes)
        if kind == "drill":
            return drill(rng)
        if kind == "record":
            return record(scene, rng, themes)
        if kind == "reference":
            return reference(scene, rng, themes)
        if kind == "pair":
            return rng.choice((
                lambda: in_both(scene, other, rng),
                lambda: differs(scene, other, rng),
                lambda: compare(scene, other, rng, themes),
            ))()  # fmt: skip
        if kind == "foreign":
            blind = rng.random() < 0.3
            turn = Turn(foreign_question(rng), NOT_ENGLISH, blind)
            return Talk(turns=(turn,), pictures=int(not blind))
        return Talk(turns=(unknowable(any_class(rng), rng),))

    def measure(self) -> dict[str, float]:
        """Shares right to the letter on watched scenes, old kinds and practised ones."""
        figures = super().measure()
        for label, art in (("", self.config.art), ("unseen ", self.config.watch)):
            if art is not None:
                figures |= self._practice_marks(art, label)
        return figures

    @torch.inference_mode()
    def _practice_marks(self, art: Path, label: str) -> dict[str, float]:
        rng, right = random.Random("practice marks"), defaultdict[str, list[bool]](list)
        scenes = watched_scenes(art, self.config.themes, _WATCHED)
        scenes = sorted(scenes, key=lambda scene: scene.theme)
        for start in range(0, len(scenes), _BATCH):
            chosen = scenes[start : start + _BATCH]
            rows = list[list[tuple[str, Talk]]]()
            for scene, other in zip(chosen, [*chosen[1:], chosen[0]], strict=True):
                row = [(kind, self.one(kind, scene, other, rng)) for kind in _KINDS]
                for kind in tools.KINDS:
                    talk = tools.only(kind, other, rng, self.config.themes)
                    row.append((f"tools: {kind}", talk))
                rows.append(row)
            for kind, hit in hits(self.average, self.packer, chosen, rows, None):
                right[kind].append(hit)
        return {f"{label}{kind}": sum(found) / len(found) for kind, found in right.items()}

    def _asked(
        self, scenes: list[Scene], talks: list[list[Talk]], noise: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, targets and numbers of the same of all answers about some scenes."""
        images = pixels(scenes, noise).to(self.config.device, self._kind)
        with torch.no_grad():
            _, features = self.work.see(images)
        rows = [self.packer.row_of(row) for row in talks]
        packed = slot_attention.in_slots(self.packer, rows, cropped=True)
        return self.answer(features, packed, random.Random())


def _whole(times: float, rng: random.Random) -> int:
    """A whole number that is `times` in the mean."""
    return int(times) + (rng.random() < times % 1)
