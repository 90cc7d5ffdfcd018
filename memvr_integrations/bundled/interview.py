"""Conversations about one scene, every answer true: what the joint stage learns from.

Questions that mean the same are put in several wordings into the same row (`Talk.same_as`), so
that the training can ask for the same answer.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memvr_integrations.bundled import truths
from memvr_integrations.bundled.forms import form
from memvr_integrations.bundled.paraphrase import typed
from memvr_integrations.bundled.phrasings import phrase_question
from memvr_integrations.bundled.questions import SHORT, Turn, absent, caption, where
from memvr_integrations.bundled.scenes import Scene, Thing
from memvr_integrations.bundled.unknowable import any_class, no_picture, small_talk, unknowable
from memvr_integrations.bundled.words import (
    COLORS,
    NUMBERS,
    plural,
    with_article,
)

_ONE_WORD = (" Answer in one word.", " Answer with one word.", " One word, please.")
_SHORTS = (SHORT, SHORT, SHORT, " Yes or no?", " Just yes or no.", " Answer with yes or no.")


@dataclass(frozen=True, kw_only=True)
class Talk:
    """Turns of one conversation about `pictures` pictures (0: none is shown).

    Talks of the same `same_as` in one row ask for the same yes or no; 0 stands for no such.
    """

    turns: tuple[Turn, ...]
    pictures: int = 1
    same_as: int = 0


class Interview:
    """Asks about one scene; every method gives the talks of one kind of question."""

    def __init__(self, scene: Scene, rng: random.Random, themes: Sequence[str]) -> None:
        self._scene, self._rng, self._themes = scene, rng, themes
        self._singles = [thing for thing in scene.things if thing.count == 1]
        self._painted = [thing for thing in scene.things if thing.color]
        self._groups = 0

    def talks(self, size: int) -> list[Talk]:
        """A caption, and about `size` questions of all kinds."""
        talks = self.caption()
        while len(talks) < size:
            talks += self.one(self._rng.choices(list(MIX), list(MIX.values()))[0])
        return [self._as_typed(talk) for talk in talks]

    def one(self, kind: str) -> list[Talk]:
        """Talks of a kind; of another where the scene has nothing for it."""
        return self.only(kind) or self.exists()

    def only(self, kind: str) -> list[Talk]:
        """Talks of a kind, none where the scene has nothing for it."""
        return _KINDS[kind](self)

    def caption(self) -> list[Talk]:
        """Everything in a sentence."""
        question = self._ask("caption")
        return [_talk(question, caption(self._scene))]

    def exists(self) -> list[Talk]:
        """The same thing asked long and short, in two to three wordings."""
        present = self._rng.random() < 0.5
        name = self._there().name if present else self._missing()
        forms = [True, False] + [self._rng.random() < 0.5] * (self._rng.random() < 0.3)
        slots = {"a": with_article(name), "c": name, "p": plural(name)}
        return self._alike("exists", forms, present, truths.existence(name, present), slots)

    def exists_color(self) -> list[Talk]:
        """A thing in a colour, right or wrong."""
        if not self._painted:
            return []
        thing = self._rng.choice(self._painted)
        present = self._rng.random() < 0.5
        color = thing.color if present else self._other_color(thing.color)
        name = f"{color} {thing.name}"
        slots = {"a": with_article(name), "c": name, "p": f"{color} {plural(thing.name)}"}
        answer = truths.existence(name, present)
        return self._alike("exists color", [self._rng.random() < 0.5], present, answer, slots)

    def count(self) -> list[Talk]:
        """How many of a kind; rare counts more often, or "one" would be right most of the time."""
        if self._rng.random() < 0.12:
            name, count = self._missing(), 0
        else:
            things = self._scene.things
            thing = self._rng.choices(things, [min(one.count, 4) for one in things])[0]
            name, count = thing.name, thing.count
        talks = [_talk(self._ask("count", p=plural(name)), truths.amount(name, count))]
        if self._rng.random() < 0.2:
            question = self._ask("count", p=plural(name)) + self._rng.choice(_ONE_WORD)
            talks.append(_talk(question, truths.sentence(truths.number(count))))
        return talks

    def is_count(self) -> list[Talk]:
        """Whether there are so many."""
        thing = self._there()
        if thing.count >= truths.MANY:
            return []
        right = self._rng.random() < 0.5
        others = [count for count in (2, 3, 4) if count != thing.count]
        asked = thing.count if right and thing.count > 1 else self._rng.choice(others)
        yes = "Yes" if asked == thing.count else "No"
        truth = truths.amount(thing.name, thing.count)
        question = self._ask("is count", n=NUMBERS[asked], p=plural(thing.name))
        return [_talk(question, f"{yes}, {truth[0].lower()}{truth[1:]}")]

    def more(self) -> list[Talk]:
        """Which of two there are more of."""
        if len(self._scene.things) < 2:
            return []
        one, other = self._rng.sample(list(self._scene.things), 2)
        yes = "Yes" if one.count > other.count else "No"
        question = self._ask("more", p=plural(one.name), q=plural(other.name))
        counts = [f"{truths.number(t.count)} {truths.noun(t)}" for t in (one, other)]
        return [_talk(question, f"{yes}, there {truths.verb(one)} {truths.join(counts)}.")]

    def how_many_things(self) -> list[Talk]:
        """The number of all pieces."""
        total = sum(thing.count for thing in self._scene.things)
        answer = "There is one thing." if total == 1 else f"There are {NUMBERS[total]} things."
        return [_talk(self._ask("how many things"), answer)]

    def color(self) -> list[Talk]:
        """The colour of what is painted."""
        if not self._painted:
            return []
        thing = self._rng.choice(self._painted)
        asked = self._ask("color", **_the(thing))
        talks = [_talk(asked, f"The {truths.noun(thing)} {truths.verb(thing)} {thing.color}.")]
        if self._rng.random() < 0.25:
            short = self._ask("color", **_the(thing)) + self._rng.choice(_ONE_WORD)
            talks.append(_talk(short, truths.sentence(str(thing.color))))
        return talks

    def is_color(self) -> list[Talk]:
        """Whether something has a colour."""
        if not self._painted:
            return []
        thing = self._rng.choice(self._painted)
        right = self._rng.random() < 0.5
        color = str(thing.color if right else self._other_color(thing.color))
        truth = f"the {truths.noun(thing)} {truths.verb(thing)} {thing.color}."
        forms = [True, False] if self._rng.random() < 0.3 else [self._rng.random() < 0.3]
        answer = f"{'Yes' if right else 'No'}, {truth}"
        return self._alike("is color", forms, right, answer, {**_the(thing), "color": color})

    def anything_color(self) -> list[Talk]:
        """Whether anything has a colour, and what."""
        color = self._rng.choice(list(COLORS))
        if self._painted and self._rng.random() < 0.6:
            color = str(self._rng.choice(self._painted).color)
        found = [thing for thing in self._painted if thing.color == color]
        if not found and not truths.surely_absent(self._scene, color):
            return []
        things = truths.join([f"the {truths.noun(thing)}" for thing in found]) if found else ""
        are = "is" if len(found) == 1 and found[0].count == 1 else "are"
        if self._rng.random() < 0.35:
            truth = f"{things} {are} {color}" if found else f"nothing is {color}"
            return [_talk(self._ask("what is color", color=color), truths.sentence(truth))]
        answer = f"Yes, {things} {are} {color}." if found else f"No, nothing is {color}."
        return self._alike(
            "anything color", [self._rng.random() < 0.3], bool(found), answer, {"color": color}
        )

    def where(self) -> list[Talk]:
        """In which of the nine fields a thing is, or each of two."""
        if self._rng.random() < 0.1:
            name = self._missing()
            return [_talk(self._ask("where", the=f"the {name}", is_="is"), truths.none_of(name))]
        few = [thing for thing in self._scene.things if thing.count < 3]
        pool = self._singles if self._rng.random() < 0.85 else few
        if not pool:
            return []
        thing = self._rng.choice(pool)
        return [_talk(self._ask("where", **_the(thing)), truths.positions(thing))]

    def is_where(self) -> list[Talk]:
        """Whether a thing is in a field."""
        if not self._singles:
            return []
        thing = self._rng.choice(self._singles)
        field = where(thing.centers[0])
        right = self._rng.random() < 0.5
        asked = field if right else self._rng.choice([f for f in truths.FIELDS if f != field])
        question = self._ask("is where", the=f"the {thing.name}", field=asked)
        return [_talk(question, f"{'Yes' if right else 'No'}, the {thing.name} is {field}.")]

    def what_is_where(self) -> list[Talk]:
        """What is in a field, or that nothing is."""
        field = self._rng.choice(truths.FIELDS)
        if self._rng.random() < 0.75:
            field = where(self._rng.choice(self._there().centers))
        found = {
            thing.name: sum(where(center) == field for center in thing.centers)
            for thing in truths.left_to_right(self._scene)
        }
        parts = [
            with_article(name) if count == 1 else f"{NUMBERS[count]} {plural(name)}"
            for name, count in found.items()
            if count
        ]
        answer = truths.sentence(truths.join(parts)) if parts else "Nothing."
        return [_talk(self._ask("what is where", field=field), answer)]

    def related(self) -> list[Talk]:
        """How two single things lie to each other."""
        if len(self._singles) < 2:
            return []
        one, other = self._rng.sample(self._singles, 2)
        named = {"the": f"the {one.name}", "other": f"the {other.name}"}
        way = truths.way(one, other)
        if way and self._rng.random() < 0.4:
            answer = f"The {one.name} is {way} the {other.name}."
            return [_talk(self._ask("how related", **named, is_="is"), answer)]
        asked = self._rng.choice(truths.WAYS)
        right = truths.is_related(one, asked, other)
        if right is None:
            return []
        truth = asked if right else truths.opposite(asked)
        answer = f"{'Yes' if right else 'No'}, the {one.name} is {truth} the {other.name}."
        short = [self._rng.random() < 0.3]
        return self._alike("is related", short, right, answer, {**named, "way": asked})

    def everything(self) -> list[Talk]:
        """All things."""
        things = truths.left_to_right(self._scene)
        return [_talk(self._ask("list"), truths.inventory(things, color=False))]

    def theme(self) -> list[Talk]:
        """What kind of scene it is."""
        return [_talk(self._ask("theme"), f"This is {with_article(self._scene.theme)} scene.")]

    def box(self) -> list[Talk]:
        """Where exactly; the boxes of two, left to right."""
        few = [thing for thing in self._scene.things if thing.count < 3]
        pool = self._singles if self._rng.random() < 0.9 else few
        if not pool:
            return []
        thing = self._rng.choice(pool)
        return [_talk(self._ask("box", **_the(thing)), _boxes(thing))]

    def json(self) -> list[Talk]:
        """Everything in the fixed format."""
        return [_talk(self._ask("json"), truths.as_json(self._scene))]

    def form(self) -> list[Talk]:
        """A schema to fill in."""
        return [Talk(turns=(form(self._scene, self._rng, self._themes),))]

    def unknowable(self) -> list[Talk]:
        """What no picture tells."""
        name = self._there().name if self._rng.random() < 0.7 else any_class(self._rng)
        return [Talk(turns=(unknowable(name, self._rng),))]

    def small_talk(self) -> list[Talk]:
        """A greeting, with the picture or without."""
        blind = self._rng.random() < 0.5
        return [Talk(turns=(small_talk(self._rng, blind=blind),), pictures=int(not blind))]

    def blind(self) -> list[Talk]:
        """A question about a picture that isn't there."""
        kind = self._rng.choice(("exists", "count", "caption", "where", "list", "color"))
        turn = self.one(kind)[0].turns[0]
        return [Talk(turns=(no_picture(turn.question),), pictures=0)]

    def follow_up(self) -> list[Talk]:
        """A question, and others that lean on its answer."""
        thing = self._there()
        slots = {"a": with_article(thing.name), "c": thing.name, "p": plural(thing.name)}
        turns = [Turn(self._ask("exists", **slots), truths.existence(thing.name, True))]
        if thing.count > 1 and self._rng.random() < 0.6:
            turns = [Turn(self._ask("count", **slots), truths.amount(thing.name, thing.count))]
        turns += self._rng.sample(self._leaning(thing), k=self._rng.choice((1, 1, 2)))
        return [Talk(turns=tuple(turns))]

    def _leaning(self, thing: Thing) -> list[Turn]:
        it = {"it": "it" if thing.count == 1 else "they", "is_": truths.verb(thing)}
        missing = self._missing()
        turns = [
            Turn(self._ask("then count"), truths.amount(thing.name, thing.count)),
            Turn(
                self._ask("then exists", a=with_article(missing), p=plural(missing)),
                truths.existence(missing, False),
            ),
        ]
        others = [one for one in truths.left_to_right(self._scene) if one is not thing]
        if others:
            other = self._rng.choice(others).name
            asked = self._ask("then exists", a=with_article(other), p=plural(other))
            turns.append(Turn(asked, truths.existence(other, True)))
            everything = truths.inventory(others, color=False)
            turns.append(Turn(self._ask("then else"), everything))
        if thing.color:
            answer = f"The {truths.noun(thing)} {truths.verb(thing)} {thing.color}."
            turns += [Turn(self._ask("then color", **it), answer)] * 3
        if thing.count < 3:
            turns += [Turn(self._ask("then where", **it), truths.positions(thing))] * 2
        if thing.count == 1:
            turns.append(Turn(self._ask("then box"), _boxes(thing)))
        return turns

    def _alike(
        self, kind: str, shorts: Sequence[bool], yes: bool, answer: str, slots: dict[str, str]
    ) -> list[Talk]:
        """The same yes or no in several wordings, some to be answered in a word."""
        self._groups += 1
        talks = []
        for short in shorts:
            question = self._ask(kind, **slots)
            said = answer
            if short:
                question += self._rng.choice(_SHORTS)
                said = "Yes" if yes else "No"
            talks.append(Talk(turns=(Turn(question, said),), same_as=self._groups))
        return talks

    def _ask(self, kind: str, **slots: str) -> str:
        return phrase_question(kind, self._rng, **slots)

    def _there(self) -> Thing:
        return self._rng.choice(self._scene.things)

    def _missing(self) -> str:
        return absent(self._scene, self._rng, self._themes)

    def _other_color(self, color: str | None) -> str:
        return self._rng.choice([other for other in COLORS if other != color])

    def _as_typed(self, talk: Talk) -> Talk:
        turns = tuple(
            Turn(typed(turn.question, self._rng), turn.answer, turn.blind)
            if "{" not in turn.question
            else turn
            for turn in talk.turns
        )
        return Talk(turns=turns, pictures=talk.pictures, same_as=talk.same_as)


def _talk(question: str, answer: str) -> Talk:
    return Talk(turns=(Turn(question, answer),))


def _the(thing: Thing) -> dict[str, str]:
    return {"the": f"the {truths.noun(thing)}", "is_": truths.verb(thing)}


def _boxes(thing: Thing) -> str:
    return " ".join(truths.box_text(box) for box in thing.boxes)


_KINDS: dict[str, Callable[[Interview], list[Talk]]] = {
    "exists": Interview.exists,
    "exists color": Interview.exists_color,
    "count": Interview.count,
    "is count": Interview.is_count,
    "more": Interview.more,
    "how many things": Interview.how_many_things,
    "color": Interview.color,
    "is color": Interview.is_color,
    "anything color": Interview.anything_color,
    "where": Interview.where,
    "is where": Interview.is_where,
    "what is where": Interview.what_is_where,
    "related": Interview.related,
    "list": Interview.everything,
    "theme": Interview.theme,
    "box": Interview.box,
    "json": Interview.json,
    "form": Interview.form,
    "unknowable": Interview.unknowable,
    "small talk": Interview.small_talk,
    "blind": Interview.blind,
    "follow up": Interview.follow_up,
    "caption": Interview.caption,
}

# How often each kind is asked. A method may ask twice.
MIX = {
    "exists": 0.20,
    "exists color": 0.025,
    "count": 0.15,
    "is count": 0.02,
    "more": 0.015,
    "how many things": 0.01,
    "color": 0.08,
    "is color": 0.03,
    "anything color": 0.03,
    "where": 0.08,
    "is where": 0.025,
    "what is where": 0.025,
    "related": 0.06,
    "list": 0.03,
    "theme": 0.01,
    "box": 0.05,
    "json": 0.015,
    "form": 0.025,
    "unknowable": 0.03,
    "small talk": 0.005,
    "blind": 0.015,
    "follow up": 0.07,
}
