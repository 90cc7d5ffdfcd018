"""Marks for answers about scenes: counts and colours, captions, and the rank of a score."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from memvr_integrations.bundled.world import COLORS, NUMBERS, Scene, plural
from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A question with one right word, asked of one scene; `kind` is "count" or "color"."""

    scene: int
    question: str
    right: str
    kind: str


def attributes(scenes: Sequence[Scene]) -> list[Attribute]:
    """One counting question about every thing, and the colour of every painted one."""
    asked = []
    for index, scene in enumerate(scenes):
        for thing in scene.things:
            question = f"How many {plural(thing.name)} are there?"
            if thing.count <= 4:
                right = NUMBERS[thing.count]
                asked.append(Attribute(scene=index, question=question, right=right, kind="count"))
            if thing.color:
                noun = thing.name if thing.count == 1 else plural(thing.name)
                verb = "is" if thing.count == 1 else "are"
                asked.append(
                    Attribute(
                        scene=index,
                        question=f"What color {verb} the {noun}?",
                        right=thing.color,
                        kind="color",
                    )
                )
    return asked


def is_right(asked: Attribute, answer: str) -> bool:
    """Whether an answer holds the right number or colour word, and no other."""
    words = set(re.findall(r"[a-z]+", answer.lower().replace("more than four", "five")))
    choices = set(NUMBERS) if asked.kind == "count" else set(COLORS)
    # "an orange" is a fruit only in other themes; a colour answer names one colour.
    return words & choices == {asked.right}


def caption_counts(scenes: Sequence[Scene], captions: Sequence[str]) -> Tensor:
    """Per caption: mentions, wrong mentions, things there, things named; (captions, 4)."""
    rows = []
    for scene, caption in zip(scenes, captions, strict=True):
        named = mentioned(caption)
        rows.append(
            [len(named), len(named - scene.names), len(scene.names), len(named & scene.names)]
        )
    return torch.tensor(rows, dtype=torch.float64)


def auc(scores: Tensor, truth: Tensor) -> float:
    """The chance that a true question scores above a false one, ties counted half."""
    order = scores.argsort()
    ranks = torch.empty(len(scores), dtype=torch.float64)
    ranks[order] = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    _, inverse, counts = scores.unique(return_inverse=True, return_counts=True)
    ranks = (
        torch.zeros(len(counts), dtype=torch.float64).scatter_add_(0, inverse, ranks)[inverse]
        / counts[inverse]
    )
    true = int(truth.sum())
    false = len(truth) - true
    return float((ranks[truth].sum() - true * (true + 1) / 2) / (true * false))
