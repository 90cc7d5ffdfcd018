"""POPE and CHAIR on drawn scenes: always there, no download, the truth known exactly.

The scenes are those that the bundled model was made for. A model of photographs finds cartoons
there, so its figures say how it does on these and nothing about photographs.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import PIL.Image

from memvr_integrations.bundled import KNOWN_THEMES
from memvr_integrations.bundled.world.scenes import SPRITES, Scene
from memvr_integrations.bundled.world.words import with_article
from memvr_integrations.evaluate.benchmarks.benchmark import Question, answered
from memvr_integrations.evaluate.benchmarks.chair import caption_figures, caption_marks
from memvr_integrations.evaluate.benchmarks.scene_questions import (
    CAPTION,
    NEGATIVES,
    SHORT,
    exam,
    held_out_scenes,
    mentioned,
)
from memvr_integrations.evaluate.benchmarks.scoring.yes_no import (
    OFFICIAL,
    PARSERS,
    count_all_parsers,
    figures_of_all_parsers,
)

SEED = 31
"""Scenes of its own: the bundled model was tuned on seeds 1 to 3, and its evidence is of 11."""


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Up to eight yes/no questions and one caption for every scene.

    Each of POPE's three splits has the same questions about what is there, so these are asked
    once and counted in all three. A caption's classes count once each.
    """

    questions: tuple[Question, ...]
    kinds: Mapping[str, str]
    scenes: Mapping[str, Scene]
    name: str = "scenes"

    def marks(self, answers: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Counts by scene."""
        marks: dict[str, Counter[str]] = {}
        for question, answer in answered(self.questions, answers):
            counts = marks.setdefault(question.group, Counter())
            kind = self.kinds.get(question.id)
            if kind is None:
                named, there = sorted(mentioned(answer)), self.scenes[question.group].names
                counts.update(caption_marks(named, there, words=len(answer.split())))
                continue
            for split in NEGATIVES if kind == "positive" else (kind,):
                count_all_parsers(counts, split, answer, truth=kind == "positive")
        return marks

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """POPE's figures by split and parser, and CHAIR's."""
        figures: dict[str, float] = {}
        for split in NEGATIVES:
            figures |= figures_of_all_parsers(counts, split)
        return figures | {
            f"captions/{name}": value for name, value in caption_figures(counts).items()
        }

    def right(self, answers: Mapping[str, str]) -> dict[str, bool]:
        """The yes/no questions, by POPE's official parser."""
        return {
            question.id: PARSERS[OFFICIAL](answer, truth) == truth
            for question, answer in answered(self.questions, answers)
            if question.id in self.kinds
            for truth in [self.kinds[question.id] == "positive"]
        }

    def alike(self, group: str) -> str | None:
        """The next scene of the same theme, from the first again after the last."""
        names = list(self.scenes)
        after = names.index(group) + 1
        theme = self.scenes[group].theme
        others = [*names[after:], *names[: after - 1]]
        return next((name for name in others if self.scenes[name].theme == theme), None)


def load_scenes(*, count: int = 200, seed: int = SEED) -> Scenes:
    """Draw `count` scenes and the questions about them; the same seed gives the same ones."""
    scenes = held_out_scenes(count, themes=KNOWN_THEMES, seed=seed, files=[SPRITES])
    questions: list[Question] = []
    kinds: dict[str, str] = {}
    images = [PIL.Image.fromarray(scene.pixels) for scene in scenes]
    for one in exam(scenes, themes=KNOWN_THEMES, seed=seed):
        name = f"{one.scene}/{one.kind}/{one.name}"
        kinds[name] = one.kind
        text = f"Is there {with_article(one.name)} in the image?{SHORT}"
        questions.append(
            Question(id=name, text=text, images=(images[one.scene],), group=str(one.scene))
        )
    questions += [
        Question(id=f"{index}/caption", text=CAPTION, images=(image,), group=str(index))
        for index, image in enumerate(images)
    ]
    return Scenes(
        questions=tuple(questions),
        kinds=kinds,
        scenes={str(index): scene for index, scene in enumerate(scenes)},
    )
