"""The tasks that examine what finished weights are trained on, and the shares that are right.

Everything is asked through the package, grammar and all; scenes, words, names and values are other
ones than training has.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from bundled_model.conversations.asker import Talk
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.pairs import compare, differs, in_both
from bundled_model.conversations.practised.languages import NOT_ENGLISH, foreign_question
from bundled_model.conversations.practised.records import record
from bundled_model.conversations.practised.references import reference
from bundled_model.conversations.questions import Turn
from bundled_model.conversations.tools import talks as tools
from bundled_model.conversations.tools.offers import HELD_OUT_NOUNS, HELD_OUT_VERBS, Words
from bundled_model.conversations.unknowable import unknowable
from bundled_model.exam.abilities import Figure
from bundled_model.exam.examinee import Examinee
from bundled_model.exam.practised import judges
from bundled_model.exam.practised.asking import as_request
from memvr_integrations.backend import Completion
from memvr_integrations.bundled.world import THEMES, Scene
from memvr_integrations.evaluate import by_image

_TOKENS = 160
OTHER_WORDS = Words(verbs=HELD_OUT_VERBS, nouns=HELD_OUT_NOUNS, made_up=0.5)
_ALL = tuple(THEMES)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row, or several: talks, each about some pictures, and what is judged of a turn."""

    name: str
    talks: Sequence[Talk]
    shown: Sequence[tuple[int, ...]]
    judges: dict[str, judges.Judge]
    turn: int = -1
    own_answers: bool = False


def tasks(scenes: Sequence[Scene], seed: int = 0) -> Iterator[Task]:
    """Everything that is examined."""
    yield from _tools(scenes, seed)
    yield from _records(scenes, seed)
    yield from _pairs(scenes, seed)
    yield from _others(scenes, seed)


def _tools(scenes: Sequence[Scene], seed: int) -> Iterator[Task]:
    called: dict[str, judges.Judge] = {
        "the right tool": judges.right_tool,
        "arguments": judges.right_arguments,
        "wholly right": judges.right_call,
    }
    answered: dict[str, judges.Judge] = {"to the letter": judges.says_exactly}
    true: dict[str, judges.Judge] = {"true": judges.says}
    not_called: dict[str, judges.Judge] = {"nothing called": judges.calls_none}
    for name, kind, judged, turn in (
        ("a tool is asked for", "called", called, 0),
        ("two tools at once", "twice", called, 0),
        ("a tool, with a picture beside", "called with a picture", called, 0),
        ("arguments read off the picture", "noted", called, 0),
        ("a picture has to be asked for", "picture asked for", called, 0),
        ("answered from a result in words", "answered from", answered, 1),
        ("answered from a result's picture", "picture asked for", true, 1),
        ("the picture is there: no call", "picture described", not_called | true, 0),
        ("no tool fits", "no tool", not_called | answered, 0),
    ):
        rng = random.Random(f"{kind} {turn} {seed}")
        talks = [tools.only(kind, scene, rng, _ALL, OTHER_WORDS) for scene in scenes]
        yield _about(f"tools: {name}", talks, judged, turn=turn)


def _records(scenes: Sequence[Scene], seed: int) -> Iterator[Task]:
    judged: dict[str, judges.Judge] = {
        "fields": judges.right_fields,
        "wholly right": judges.right_record,
    }
    rng = random.Random(f"records {seed}")
    made = [record(scene, rng, _ALL) for scene in scenes for _ in range(2)]
    shown = [(index,) for index in range(len(scenes)) for _ in range(2)]
    for name, pictures in (("of a picture", 1), ("of a text", 0)):
        chosen = [at for at, talk in enumerate(made) if talk.pictures == pictures]
        yield Task(
            name=f"schema, {name}",
            talks=[made[at] for at in chosen],
            shown=[shown[at] for at in chosen],
            judges=judged,
        )
    talks = [talk for scene in scenes for talk in Interview(scene, rng, _ALL).form()]
    yield _about("schema, as before", talks, judged)


def _pairs(scenes: Sequence[Scene], seed: int) -> Iterator[Task]:
    order = sorted(range(len(scenes)), key=lambda index: scenes[index].theme)
    pairs = list(zip(order, [*order[1:], order[0]], strict=True))
    alike = [(a, b) for a, b in pairs if scenes[a].names & scenes[b].names]
    rng = random.Random(f"pairs {seed}")
    asked = [compare(scenes[a], scenes[b], rng, _ALL) for a, b in pairs]
    which = [at for at, talk in enumerate(asked) if "The first has" not in talk.turns[0].answer]
    for name, shown, talks, judge in (
        ("all but what is in both", [pairs[i] for i in which], [asked[i] for i in which], "says"),
        ("what is in both", alike, [in_both(scenes[a], scenes[b], rng) for a, b in alike], "says"),
        ("what differs", pairs, [differs(scenes[a], scenes[b], rng) for a, b in pairs], "ends"),
    ):
        judged = judges.says if judge == "says" else judges.concludes
        yield Task(name=f"two pictures: {name}", talks=talks, shown=shown, judges={"": judged})


def _others(scenes: Sequence[Scene], seed: int) -> Iterator[Task]:
    rng = random.Random(f"others {seed}")
    true: dict[str, judges.Judge] = {"": judges.says}
    talks = [reference(scene, rng, _ALL) for scene in scenes]
    yield _about("references: the last answer", talks, true, own_answers=True)
    talks = [talk for scene in scenes for talk in Interview(scene, rng, _ALL).follow_up()]
    yield _about("follow-up turns, as before", talks, true, own_answers=True)
    for name, unseen in (("trained", False), ("other", True)):
        asked = [foreign_question(rng, held_out=unseen) for _ in scenes]
        talks = [Talk(turns=(Turn(one, NOT_ENGLISH),)) for one in asked]
        yield _about(f"not in English: {name} languages", talks, {"": judges.says_only_english})
    one = [unknowable(rng.choice(scene.things).name, rng, held_out=True) for scene in scenes]
    yield _about(
        "what no picture tells", [Talk(turns=(turn,)) for turn in one], {"": judges.refuses}
    )
    plain = [Interview(scene, rng, _ALL).one("exists")[0] for scene in scenes]
    yield _about("is it there?", plain, true)
    counts = [Interview(scene, rng, _ALL).one("count")[0] for scene in scenes]
    yield _about("how many?", counts, true)


def _about(
    name: str,
    talks: Sequence[Talk],
    judged: dict[str, judges.Judge],
    *,
    turn: int = -1,
    own_answers: bool = False,
) -> Task:
    """A task with a talk about each picture, in their order."""
    shown = [(index,) for index in range(len(talks))]
    return Task(
        name=name, talks=talks, shown=shown, judges=judged, turn=turn, own_answers=own_answers
    )


def answers(examinee: Examinee, task: Task, scenes: Sequence[Scene]) -> list[Completion]:
    """The last answer in every talk: after the true ones, or after the model's own."""
    pictures = [[scenes[at].pixels for at in shown] for shown in task.shown]
    if not task.own_answers:
        return examinee.backend.generate(
            [
                as_request(talk, seen, turn=task.turn, tokens=_TOKENS)
                for talk, seen in zip(task.talks, pictures, strict=True)
            ]
        )
    said: list[list[str]] = [[] for _ in task.talks]
    last: dict[int, Completion] = {}
    for turn in range(max(len(talk.turns) for talk in task.talks)):
        places = [at for at, talk in enumerate(task.talks) if len(talk.turns) > turn]
        done = examinee.backend.generate(
            [
                as_request(task.talks[at], pictures[at], turn=turn, said=said[at], tokens=_TOKENS)
                for at in places
            ]
        )
        for at, one in zip(places, done, strict=True):
            said[at].append(one.text.strip())
            last[at] = one
    return [last[at] for at in range(len(task.talks))]


def rows(examinee: Examinee, scenes: Sequence[Scene], seed: int = 0) -> Iterator[Figure]:
    """The rows of the table."""
    for task in tasks(scenes, seed):
        done = answers(examinee, task, scenes)
        truths = [talk.turns[task.turn].answer for talk in task.talks]
        owners = [shown[0] for shown in task.shown]
        for name, judge in task.judges.items():
            right = torch.tensor([judge(*pair) for pair in zip(done, truths, strict=True)])
            yield Figure(
                name=f"{task.name}: {name}".rstrip(": "),
                hits=by_image(right, owners, len(scenes)),
                total=by_image(torch.ones_like(right), owners, len(scenes)),
            )
