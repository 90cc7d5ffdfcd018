"""What the bundled model can do, MemVR off: the lines of a table, with the goals beside."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from bundled_model.conversations.wordings.phrasings import phrase_question
from bundled_model.exam.exam_questions import (
    BOXES,
    POSITION,
    REFUSED,
    RELATION,
    Exercise,
    exercises,
)
from bundled_model.exam.examinee import Prompt, about, says_yes
from bundled_model.exam.judging import is_refusal, is_true, overlaps
from bundled_model.exam.processes import Processes
from bundled_model.exam.scene_marks import Attribute, attributes, is_right
from bundled_model.exam.trials import Condition, Evidence
from memvr_integrations.bundled.world import NUMBERS, plural
from memvr_integrations.bundled.world import with_article as a
from memvr_integrations.evaluate import Estimate, by_image, share
from memvr_integrations.evaluate.benchmarks.scene_questions import NEGATIVES, SHORT

_AGREE, _RECALL, _CHAIR = (
    "long and short question: the same answer",
    "captions: things named (recall)",
    "captions: CHAIR_i",
)
_YES_NO = "yes/no, {} negatives: accuracy"
GOALS = {
    _YES_NO.format("random"): "at least 95; unseen art 88",
    _YES_NO.format("popular"): "at least 93; unseen art 86",
    _YES_NO.format("adversarial"): "at least 88; unseen art 80",
    _AGREE: "at least 97",
    "colour": "at least 90",
    "counting, 1 to 4": "at least 85",
    POSITION: "at least 80",
    RELATION: "at least 80",
    BOXES: "at least 60",
    REFUSED: "at least 95",
    _RECALL: "at least 82",
    _CHAIR: "at most 10",
}
_WAYS = 5
ENOUGH = 500
"""Conversations in a row without a goal: more would take most of an examination's time."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A row of the table: of how many each image counts, and how many of them are hits.

    Shapes: `hits` and `total` (images,).
    """

    name: str
    hits: Tensor
    total: Tensor

    @property
    def share(self) -> Estimate:
        """Hits of all, in percent."""
        return share(self.hits, self.total)


def ability(
    processes: Processes, evidence: Evidence, conditions: Sequence[Condition]
) -> Iterator[str]:
    """What the model can do with MemVR off, a column a condition."""
    rows: dict[str, list[str]] = {}
    for column in processes.map(partial(_column, evidence), conditions):
        for name, text in column:
            rows.setdefault(name, []).append(text)
    yield f"| | {' | '.join(c.name for c in conditions)} | goal |"
    yield "|---|" + "---|" * (len(conditions) + 1)
    for name, texts in rows.items():
        yield f"| {name} | {' | '.join(texts)} | {GOALS.get(name, '')} |"


def _column(evidence: Evidence, condition: Condition) -> list[tuple[str, str]]:
    return [(one.name, str(one.share)) for one in figures(evidence, condition)]


def figures(evidence: Evidence, condition: Condition) -> Iterator[Figure]:
    """Every row of one condition."""
    yield from _yes_no_rows(evidence, condition)
    yield from _agreement_rows(evidence, condition)
    yield from _attribute_rows(evidence, condition)
    mentions, wrong, there, named = evidence.captions(condition, None).T
    yield Figure(name=_RECALL, hits=named, total=there)
    yield Figure(name=_CHAIR, hits=wrong, total=mentions)
    yield Figure(name="captions: CHAIR_s", hits=wrong > 0, total=torch.ones_like(wrong))
    refused, answered = torch.zeros(2, len(condition.scenes))
    for exercise in map(_long_enough, exercises(condition.scenes, evidence.themes)):
        said = answers(evidence, condition, exercise)
        truth = [talk.turns[-1].answer for talk in exercise.talks]
        right = torch.tensor([is_true(*pair) for pair in zip(said, truth, strict=True)])
        yield figure(exercise.name, right, exercise.scenes, condition)
        if exercise.name == BOXES:
            shared = [overlaps(*pair) or [0.0] for pair in zip(said, truth, strict=True)]
            mean = torch.tensor([sum(values) / len(values) for values in shared])
            yield figure("boxes: mean IoU", mean, exercise.scenes, condition)
        for text, right_answer, owner, shown in zip(
            said, truth, exercise.scenes, exercise.pictures, strict=True
        ):
            if shown and not is_refusal(right_answer):
                answered[owner] += 1
                refused[owner] += is_refusal(text)
    yield Figure(name="refused though the picture tells", hits=refused, total=answered)


def _long_enough(exercise: Exercise) -> Exercise:
    if exercise.name in GOALS:
        return exercise
    return replace(
        exercise,
        talks=exercise.talks[:ENOUGH],
        scenes=exercise.scenes[:ENOUGH],
        pictures=exercise.pictures[:ENOUGH],
    )


def _yes_no_rows(evidence: Evidence, condition: Condition) -> Iterator[Figure]:
    owners, images = condition.owners, len(condition.scenes)
    right = evidence.ask(condition, None).right(condition)
    kinds = [question.kind for question in condition.questions]

    def rate(name: str, hits: Tensor, asked: Tensor) -> Figure:
        of_images = by_image(hits & asked, owners, images)
        return Figure(name=name, hits=of_images, total=by_image(asked, owners, images))

    for negative in NEGATIVES:
        asked = torch.tensor([kind in ("positive", negative) for kind in kinds])
        yield rate(_YES_NO.format(negative), right, asked)
    for negative in NEGATIVES:
        asked = torch.tensor([kind == negative for kind in kinds])
        yield rate(f"false yes, {negative}", ~right, asked)
    yield rate("yes where it is there", right, condition.truth)


def _agreement_rows(evidence: Evidence, condition: Condition) -> Iterator[Figure]:
    """Whether the answer is the same, right or wrong, however one thing is asked.

    Of every scene one question; the first two ways are the plain one, long and short.
    """
    rng = random.Random("agreement")
    chosen = {question.scene: question for question in rng.sample(
        list(condition.questions), len(condition.questions)
    )}  # fmt: skip
    owners = sorted(chosen)
    prompts = []
    for owner in owners:
        name = chosen[owner].name
        slots = {"a": a(name), "c": name, "p": plural(name)}
        plain = f"Is there {a(name)} in the image?"
        ways = [plain, plain + SHORT]
        while len(ways) < _WAYS:
            asked = phrase_question("exists", rng, **slots)
            # A negated question turns yes and no around.
            if asked not in ways and "no " not in asked.lower():
                ways.append(asked)
        prompts += [about(owner, way) for way in ways]
    done = evidence.examinee.ask(condition.pictures, prompts, tokens=1)
    yes = torch.tensor([says_yes(one) for one in done]).view(len(owners), _WAYS)
    yield figure(_AGREE, yes[:, 0] == yes[:, 1], owners, condition)
    same = (yes == yes[:, :1]).all(1)
    yield figure("the same answer, asked five ways", same, owners, condition)


def _attribute_rows(evidence: Evidence, condition: Condition) -> Iterator[Figure]:
    asked: Sequence[Attribute] = attributes(condition.scenes)
    done = evidence.examinee.ask(
        condition.pictures, [about(one.scene, one.question) for one in asked], tokens=12
    )
    right = torch.tensor([is_right(one, said.text) for one, said in zip(asked, done, strict=True)])
    groups = {
        "colour": [one.kind == "color" for one in asked],
        "counting, 1 to 4": [one.kind == "count" for one in asked],
    }
    for number in NUMBERS[1:5]:
        groups[f"counting, {number}"] = [
            one.kind == "count" and one.right == number for one in asked
        ]
    owners = torch.tensor([one.scene for one in asked])
    for name, members in groups.items():
        chosen = torch.tensor(members)
        yield figure(name, right[chosen], owners[chosen].tolist(), condition)


def answers(evidence: Evidence, condition: Condition, exercise: Exercise) -> list[str]:
    """The model's last answer in every conversation, after its own earlier ones."""
    before: list[tuple[tuple[str, str], ...]] = [()] * len(exercise.talks)
    last = [""] * len(exercise.talks)
    for turn in range(max((len(talk.turns) for talk in exercise.talks), default=0)):
        places = [index for index, talk in enumerate(exercise.talks) if len(talk.turns) > turn]
        prompts = [
            Prompt(
                question=exercise.talks[place].turns[turn].question,
                pictures=exercise.pictures[place],
                before=before[place],
            )
            for place in places
        ]
        done = evidence.examinee.ask(condition.pictures, prompts, tokens=exercise.tokens)
        for place, prompt, answer in zip(places, prompts, done, strict=True):
            last[place] = answer.text.strip()
            before[place] = (*before[place], (prompt.question, last[place]))
    return last


def figure(name: str, hits: Tensor, owners: Sequence[int], condition: Condition) -> Figure:
    """A row of answers, each about the scene that owns it; `hits` (answers,) are 0 to 1."""
    images = len(condition.scenes)
    return Figure(
        name=name,
        hits=by_image(hits, owners, images),
        total=by_image(torch.ones_like(hits), owners, images),
    )
