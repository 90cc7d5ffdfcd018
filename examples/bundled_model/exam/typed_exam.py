"""Questions in free words, each written on its own, as different people type.

A language model wrote them, in two sets of 300 about 30 scenes each, without sight of the
training's wordings. With `dev` in view wordings were added to the training; `test` was written
afterwards and changed nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from bundled_model.exam.examinee import Examinee, Prompt
from bundled_model.exam.judging import is_true
from bundled_model.exam.seen_wordings import is_seen_wording
from memvr_integrations.bundled.world import SPRITES, THEMES, Scene
from memvr_integrations.evaluate import Estimate, by_image, share
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes

SETS = ("dev", "test")
_SCENES = 30
_SEEDS = {"dev": 31, "test": 32}
_TOKENS = 60
ALL = "all"
SEEN, OTHER = "in a wording of the training's", "in other words"


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A question about scene number `scene`, and answers of which each would be right."""

    scene: int
    kind: str
    question: str
    truths: tuple[str, ...]
    before: tuple[tuple[str, str], ...] = ()


def typed_questions(name: str) -> list[Typed]:
    """The questions of a set, "dev" or "test"."""
    lines = (Path(__file__).parent / f"typed_{name}.jsonl").read_text(encoding="utf-8")
    return [
        Typed(
            scene=line["scene"],
            kind=line["kind"],
            question=line["question"],
            truths=tuple(line["truths"]),
            before=tuple((asked, said) for asked, said in line.get("before", [])),
        )
        for line in map(json.loads, lines.splitlines())
    ]


def typed_scenes(name: str) -> list[Scene]:
    """The scenes that a set asks about."""
    files = [SPRITES]
    return held_out_scenes(_SCENES, themes=tuple(THEMES), seed=_SEEDS[name], files=files)


def marked(examinee: Examinee, name: str) -> list[tuple[Typed, str, bool]]:
    """Every question of a set, the model's answer, and whether it says what is true."""
    asked = typed_questions(name)
    pictures = [scene.pixels for scene in typed_scenes(name)]
    prompts = [
        Prompt(question=one.question, pictures=(one.scene,), before=one.before) for one in asked
    ]
    said = [done.text.strip() for done in examinee.ask(pictures, prompts, tokens=_TOKENS)]
    return [
        (one, text, any(is_true(text, truth) for truth in one.truths))
        for one, text in zip(asked, said, strict=True)
    ]


def typed_table(examinee: Examinee) -> Iterator[str]:
    """Shares of right answers by kind of question, a column a set."""
    columns = {name: _shares(marked(examinee, name)) for name in SETS}
    yield f"| | {' | '.join(columns)} |"
    yield "|---|" + "---|" * len(columns)
    for kind in dict.fromkeys(kind for shares in columns.values() for kind in shares):
        cells = [
            "{} ({})".format(*shares[kind]) if kind in shares else "" for shares in columns.values()
        ]
        yield f"| {kind} | {' | '.join(cells)} |"


def _shares(answers: list[tuple[Typed, str, bool]]) -> dict[str, tuple[Estimate, int]]:
    wordings = [SEEN if is_seen_wording(one.question) else OTHER for one, _, _ in answers]
    kinds = [ALL, SEEN, OTHER, *dict.fromkeys(one.kind for one, _, _ in answers)]
    owners = [one.scene for one, _, _ in answers]
    right = torch.tensor([hit for _, _, hit in answers])
    found = {}
    for kind in kinds:
        asked = torch.tensor(
            [
                kind in (ALL, one.kind, how)
                for (one, _, _), how in zip(answers, wordings, strict=True)
            ]
        )
        total = by_image(asked, owners, _SCENES)
        found[kind] = share(by_image(right & asked, owners, _SCENES), total), int(asked.sum())
    return found
