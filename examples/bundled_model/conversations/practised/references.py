"""Conversations of several turns that refer back: it, the other, the second one, and the same?"""

import random
from collections.abc import Sequence

from bundled_model.conversations import truths
from bundled_model.conversations.asker import Talk, boxes, the
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.questions import Turn
from bundled_model.conversations.wordings.paraphrase import say, typed
from memvr_integrations.bundled.world import Scene, Thing, plural, with_article

_NTH = ("first", "second", "third", "fourth", "fifth")
_OF_NTH = {
    "where": ("Where is the {nth} one?", "[And where|Where] is the {nth} [thing|one|of them]?"),
    "count": ("How many of the {nth} [one|thing] [are there|]?", "[And|] how many of the {nth}?"),
    "what": ("What is the {nth} one?", "Which one [did you name|was|came] {nth}?"),
    "color": ("What color is the {nth} one?", "[And the|The] color of the {nth} [one|thing]?"),
}
_SAME_OF = ("And {the}?", "[And|] what about {the}?", "How about {the}?", "And of {the}?")
_SURE = (
    "Are you sure?",
    "[Really|Sure|Certain]?",
    "Are you [really|quite] sure?",
    "Is that right?",
)
_IT = {
    "where": ("[And where|Where] {is_} {it}?", "Where exactly {is_} {it}, [in words|roughly]?"),
    "count": ("How many [are there|of them]?", "[And|] how many?"),
    "color": ("[And what|What] color {is_} {it}?", "[And {its}|The] color?"),
    "box": ("[Give|Show] me [a|the] box.", "And [a|the|its] box?"),
}
_KINDS = ("nth", "nth", "same of", "same of", "same of", "sure", "in turn", "in turn", "in turn")


def reference(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Talk:
    """A conversation of two to five turns in which later ones lean on earlier ones."""
    teller = _Teller(scene, rng, themes)
    kind = rng.choice(_KINDS)
    if kind == "nth" and len(scene.things) > 1:
        turns = teller.nth()
    elif kind == "same of" and len(scene.things) > 1:
        turns = teller.same_of()
    elif kind == "sure":
        turns = teller.sure()
    else:
        turns = teller.in_turn()
    return Talk(turns=tuple(Turn(typed(turn.question, rng), turn.answer) for turn in turns))


class _Teller:
    def __init__(self, scene: Scene, rng: random.Random, themes: Sequence[str]) -> None:
        self.scene, self.rng = scene, rng
        self.asker = Interview(scene, rng, themes)

    def nth(self) -> list[Turn]:
        """A list, and then its first, second or last."""
        things = truths.left_to_right(self.scene)
        if self.rng.random() < 0.5:
            turns = [Turn(self.asker.ask("list"), truths.inventory(things, color=False))]
        else:
            turns = [Turn(self.asker.ask("caption"), truths.caption(self.scene))]
        for _ in range(self.rng.choice((1, 1, 2))):
            at = self.rng.randrange(len(things))
            nth = "last" if at == len(things) - 1 and self.rng.random() < 0.6 else _NTH[at]
            kinds = [kind for kind in _OF_NTH if self._said(kind, things[at])]
            kind = self.rng.choice(kinds)
            asked = say(self.rng.choice(_OF_NTH[kind]), self.rng, nth=nth)
            turns.append(Turn(asked, str(self._said(kind, things[at]))))
        return turns

    def _said(self, kind: str, thing: Thing) -> str | None:
        """What is said of a thing; None where it can't be."""
        if kind == "where":
            return truths.positions(thing) if thing.count < 3 else None
        if kind == "count":
            return truths.amount(thing.name, thing.count)
        if kind == "color":
            return truths.coloring(self.scene, thing)
        if kind == "box":
            return boxes(thing) if thing.count == 1 else None
        return f"{truths.inventory([thing], color=False)}"

    def same_of(self) -> list[Turn]:
        """The same asked of one thing, then of another by its name alone."""
        kind = self.rng.choice(("where", "count", "color", "where", "box"))
        able = [thing for thing in self.scene.things if self._said(kind, thing)]
        if len(able) < 2:
            return self.in_turn()
        chosen = self.rng.sample(able, self.rng.choice((2, 2, min(3, len(able)))))
        first, *others = chosen
        turns = [Turn(self._asked(kind, first), str(self._said(kind, first)))]
        for thing in others:
            named = plural(thing.name) if kind == "count" else the(thing)["the"]
            asked = say(self.rng.choice(_SAME_OF[:3]), self.rng, the=named)
            turns.append(Turn(asked, str(self._said(kind, thing))))
        if kind == "count" and self.rng.random() < 0.3:
            missing = self.asker.missing()
            asked = say(self.rng.choice(_SAME_OF[:3]), self.rng, the=plural(missing))
            turns.append(Turn(asked, truths.amount(missing, 0)))
        return turns

    def _asked(self, kind: str, thing: Thing) -> str:
        slots = {"a": with_article(thing.name), "c": thing.name, "p": plural(thing.name)}
        return self.asker.ask(kind, **slots, **the(thing))

    def sure(self) -> list[Turn]:
        """A question, and doubt: the truth is said again."""
        asked = self.asker.one(self.rng.choice(("exists", "count", "color", "where")))[0].turns[0]
        return [asked, Turn(say(self.rng.choice(_SURE), self.rng), asked.answer)]

    def in_turn(self) -> list[Turn]:
        """One thing, then another, and "it" is the one that was named last."""
        things = self.rng.sample(self.scene.things, min(2, len(self.scene.things)))
        turns = list[Turn]()
        for index, thing in enumerate(things):
            slots = {"a": with_article(thing.name), "c": thing.name, "p": plural(thing.name)}
            kind = "exists" if index == 0 else "then exists"
            turns.append(Turn(self.asker.ask(kind, **slots), truths.existence(thing.name, True)))
            if self.rng.random() < 0.25:
                missing = self.asker.missing()
                slots = {"a": with_article(missing), "p": plural(missing)}
                turns.insert(-1 if index else 0, self._first(missing, asked=index == 0))
            turns += self._of_it(thing)
        return turns[:5]

    def _first(self, missing: str, *, asked: bool) -> Turn:
        slots = {"a": with_article(missing), "c": missing, "p": plural(missing)}
        kind = "exists" if asked else "then exists"
        return Turn(self.asker.ask(kind, **slots), truths.existence(missing, False))

    def _of_it(self, thing: Thing) -> list[Turn]:
        one = truths.verb(thing) == "is"
        slots = {"it": "it" if one else "they", "is_": truths.verb(thing)}
        slots["its"] = "its" if one else "their"
        kinds = [kind for kind in _IT if self._said(kind, thing)]
        chosen = self.rng.sample(kinds, min(len(kinds), self.rng.choice((1, 1, 2))))
        return [
            Turn(say(self.rng.choice(_IT[kind]), self.rng, **slots), str(self._said(kind, thing)))
            for kind in chosen
        ]
