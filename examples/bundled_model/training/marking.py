"""Marks a model under training: which answers are right to the letter, by kind of question.

With the right words before it, a model whose every next word is right would have said the whole
answer by itself: so an answer is marked in one pass, without generating it.
"""

import random
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bundled_model.conversations.asker import Talk
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.pairs import compare
from bundled_model.conversations.questions import Turn
from bundled_model.training import slot_attention
from bundled_model.training.packing import Packer
from bundled_model.training.stages.vision import clear_pixels, watched_scenes
from bundled_model.training.talker import answer_logits
from memvr_integrations.bundled.world import Scene, with_article
from memvr_integrations.evaluate.benchmarks.scene_questions import SHORT, exam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol, TypeAlias

    from torch import Tensor, nn
    from transformers import LlavaForConditionalGeneration

    class Answering(Protocol):
        """A model that sees pictures, and its parameters."""

        llava: LlavaForConditionalGeneration

        def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
            """What its tower sees, and visual tokens of its decoder."""

        def parameters(self) -> Iterator[nn.Parameter]:
            """All of them."""

    Answer: TypeAlias = Callable[
        [LlavaForConditionalGeneration, Packer, Tensor, slot_attention.Slots],
        tuple[Tensor, Tensor, Tensor],
    ]

_SCENES, _BATCH = 128, 16
_KINDS = ("count", "color", "where", "related", "unknowable", "follow up", "box", "json", "caption")


@torch.inference_mode()
def marks(
    model: "Answering",
    packer: Packer,
    art: Path,
    themes: tuple[str, ...],
    label: str,
    answer: "Answer | None" = None,
) -> dict[str, float]:
    """Shares of right answers on watched scenes in some art, by kind; names begin with `label`.

    `answer` computes logits in the place of `talker.answer_logits`.
    """
    # By theme: the next one is the second picture, and other themes seldom share a thing.
    scenes = sorted(watched_scenes(art, themes, _SCENES), key=lambda scene: scene.theme)
    rng = random.Random("marks")
    right: dict[str, list[bool]] = defaultdict(list)
    questions = exam(scenes, themes=themes)
    for start in range(0, len(scenes), _BATCH):
        chosen = scenes[start : start + _BATCH]
        rows = []
        for index, scene in enumerate(chosen, start):
            rows.append(_asked(scene, chosen[(index - start + 1) % len(chosen)], rng, themes))
            for question in questions:
                if question.scene == index:
                    text = f"Is there {with_article(question.name)} in the image?{SHORT}"
                    said = Turn(text, "Yes" if question.truth else "No")
                    rows[-1].append((question.kind, Talk(turns=(said,))))
        for kind, hit in hits(model, packer, chosen, rows, answer):
            right[kind].append(hit)
    found = {kind: sum(found) / len(found) for kind, found in right.items()}
    for kind in ("random", "popular", "adversarial"):
        negatives, positives = right.pop(kind), right["positive"]
        both = [*negatives, *positives]
        found[kind] = sum(both) / len(both)
    found.pop("positive")
    return {f"{label}{kind}": value for kind, value in found.items()}


def _asked(
    scene: Scene, other: Scene, rng: random.Random, themes: tuple[str, ...]
) -> list[tuple[str, Talk]]:
    """A few questions of each kind, and one about two pictures."""
    interview = Interview(scene, rng, themes)
    asked = [(kind, talk) for kind in _KINDS for talk in interview.only(kind)]
    return [*asked, ("pair", compare(scene, other, rng, themes))]


def hits(
    model: "Answering",
    packer: Packer,
    scenes: list[Scene],
    rows: list[list[tuple[str, Talk]]],
    answer: "Answer | None",
) -> list[tuple[str, bool]]:
    answer = answer or answer_logits
    _, features = model.see(clear_pixels(scenes).to(next(model.parameters()).device))
    packed = slot_attention.in_slots(
        packer, [packer.row_of([talk for _, talk in row]) for row in rows]
    )
    logits, targets, _ = answer(model.llava, packer, features, packed)
    wrong = (logits.argmax(-1) != targets).tolist()
    # In slots conversations change places; answers of a second turn belong to the same talk.
    answers = packed.labels >= 0
    places = (packed.segments.abs() - 1)[answers].tolist()
    owners = list(zip(answers.nonzero()[:, 0].tolist(), places, strict=True))
    failed = {owner for owner, bad in zip(owners, wrong, strict=True) if bad}
    return [
        (kind, (index, place) not in failed)
        for index, row in enumerate(rows)
        for place, (kind, _) in enumerate(row)
    ]
