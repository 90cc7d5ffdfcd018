"""What the bundled model is examined in: questions of every kind, each with its true answer."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bundled_model.conversations import truths
from bundled_model.conversations.asker import Talk, boxes, one_turn, the, the_one
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.pairs import compare, in_both
from bundled_model.conversations.unknowable import unknowable
from bundled_model.conversations.vocabulary import HELD_OUT_STRANGERS
from bundled_model.conversations.wordings.paraphrase import mistyped
from bundled_model.conversations.wordings.phrasings import held_out_question
from memvr_integrations.bundled.world import Scene

POSITION, BOXES = "position, nine fields", "boxes: IoU at least 0.5"
RELATION, REFUSED = "left, right, above, below of another", "what no picture tells: refused"
_LONG = 160  # tokens: JSON about five things
_SHORT = 40


class Reworded(Interview):
    """Asks in words that training never sees."""

    def ask(self, kind: str, **slots: str) -> str:
        """A question of a kind in some of its unseen wordings."""
        return held_out_question(kind, self.rng, **slots)

    def unknowable(self) -> list[Talk]:
        """What no picture answers."""
        return [Talk(turns=(unknowable(self.there().name, self.rng, held_out=True),))]


class Stranger(Interview):
    """Asks about things whose names training never has."""

    strangers = HELD_OUT_STRANGERS
    asked_of_strangers = ("exists", "count", "color", "where", "box")


class Mistyped(Interview):
    """Asks with a slip of the fingers in every question."""

    def ask(self, kind: str, **slots: str) -> str:
        """A question of a kind, mistyped: in another wording where there is no longer word."""
        while True:
            question = super().ask(kind, **slots)
            slipped = mistyped(question, self.rng)
            if slipped != question:
                return slipped


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """Conversations about scenes whose last answer is judged; `tokens` an answer may have.

    `scenes` holds the number of the scene of each conversation, `pictures` the numbers of the
    pictures that are shown, the asked scene's first.
    """

    name: str
    talks: Sequence[Talk]
    scenes: Sequence[int]
    pictures: Sequence[tuple[int, ...]]
    tokens: int = _SHORT


def whether_it_is(asker: Interview) -> list[Talk]:
    """Whether something is there, to be answered in a sentence."""
    return asker.exists()[1:]


def where_it_is(asker: Interview) -> list[Talk]:
    """In which of the nine fields a single thing is."""
    if not asker.singles:
        return []
    thing = asker.rng.choice(asker.singles)
    return [one_turn(asker.ask("where", **the(thing)), truths.positions(thing))]


def where_it_is_not(asker: Interview) -> list[Talk]:
    """Where something is that isn't there."""
    name = asker.missing()
    return [one_turn(asker.ask("where", **the_one(name)), truths.none_of(name))]


def box_of_one(asker: Interview) -> list[Talk]:
    """Where exactly a single thing is."""
    if not asker.singles:
        return []
    thing = asker.rng.choice(asker.singles)
    return [one_turn(asker.ask("box", **the(thing)), boxes(thing))]


def not_told(asker: Interview) -> list[Talk]:
    """What no picture tells, in the words of the one who asks."""
    return asker.unknowable()


_Method: TypeAlias = Callable[[Interview], list[Talk]]
# Name of the row, who asks, and what.
_KINDS: tuple[tuple[str, type[Interview], _Method], ...] = (
    (POSITION, Interview, where_it_is),
    (RELATION, Interview, Interview.related),
    (REFUSED, Interview, Interview.unknowable),
    (BOXES, Interview, box_of_one),
    ("where is what isn't there: noticed", Interview, where_it_is_not),
    ("a question without a picture: noticed", Interview, Interview.blind),
    ("what nobody drew: noticed", Interview, Interview.stranger),
    ("is it in this field?", Interview, Interview.is_where),
    ("is it in this half?", Interview, Interview.is_half),
    ("what is in this field?", Interview, Interview.what_is_where),
    ("what is beside it, left of it, ...?", Interview, Interview.what_is_related),
    ("is anything red?", Interview, Interview.anything_color),
    ("is it red or green?", Interview, Interview.either_color),
    ("at least, more than, only one", Interview, Interview.compare_count),
    ("are both, is either there?", Interview, Interview.two),
    ("animals, food, vehicles", Interview, Interview.group),
    ("what kind of scene?", Interview, Interview.theme),
    ("is it this kind of scene?", Interview, Interview.is_theme),
    ("list everything but one", Interview, Interview.besides),
    ("list everything, exactly", Interview, Interview.everything),
    ("JSON, everything right", Interview, Interview.json),
    ("a schema filled in, everything right", Interview, Interview.form),
    ("follow-up turns", Interview, Interview.follow_up),
    ("typos: is there?", Mistyped, whether_it_is),
    ("typos: how many?", Mistyped, Interview.count),
    ("typos: where?", Mistyped, where_it_is),
    ("unseen wording: is there?", Reworded, whether_it_is),
    ("unseen wording: how many?", Reworded, Interview.count),
    ("unseen wording: what color?", Reworded, Interview.color),
    ("unseen wording: where?", Reworded, where_it_is),
    ("unseen wording: box", Reworded, box_of_one),
    ("unseen wording: what no picture tells", Reworded, not_told),
    ("unseen word: what nobody drew", Stranger, Interview.stranger),
)
_WORDY = frozenset({Interview.json, Interview.form, Interview.everything})


def exercises(scenes: Sequence[Scene], themes: Sequence[str], seed: int = 0) -> Iterator[Exercise]:
    """One question of every kind about every scene that has something for it."""
    for name, asker, method in _KINDS:
        yield _exercise(name, scenes, themes, seed, asker, method)
    yield from _of_two(scenes, themes, seed)


def _of_two(scenes: Sequence[Scene], themes: Sequence[str], seed: int) -> Iterator[Exercise]:
    """Questions about two pictures of one theme, which may share things."""
    rng = random.Random(f"two pictures {seed}")
    order = sorted(range(len(scenes)), key=lambda index: scenes[index].theme)
    pairs = list(zip(order, [*order[1:], order[0]], strict=True))
    alike = [two for two in pairs if scenes[two[0]].names & scenes[two[1]].names]
    asked = (
        ("two pictures", pairs, [compare(scenes[a], scenes[b], rng, themes) for a, b in pairs]),
        ("what is in both pictures", alike, [in_both(scenes[a], scenes[b], rng) for a, b in alike]),
    )
    for name, shown, talks in asked:
        owners = [one for one, _ in shown]
        yield Exercise(name=name, talks=talks, scenes=owners, pictures=shown, tokens=_LONG)


def _exercise(
    name: str,
    scenes: Sequence[Scene],
    themes: Sequence[str],
    seed: int,
    asker: type[Interview],
    method: _Method,
) -> Exercise:
    talks, owners, pictures = list[Talk](), list[int](), list[tuple[int, ...]]()
    rng = random.Random(f"{name} {seed}")
    for index, scene in enumerate(scenes):
        # The first talk alone: the others ask the same in other words.
        for talk in method(asker(scene, rng, themes))[:1]:
            talks.append(talk)
            owners.append(index)
            pictures.append((index,) if talk.pictures else ())
    tokens = _LONG if method in _WORDY else _SHORT
    return Exercise(name=name, talks=talks, scenes=owners, pictures=pictures, tokens=tokens)
