"""Conversations about one scene, every answer true: what the joint stage learns from.

Questions that mean the same are put in several wordings into the same row (`Talk.same_as`), so
that the training can ask for the same answer.
"""

from collections.abc import Callable

from bundled_model.conversations import truths
from bundled_model.conversations.amounts import ONE_WORD, Amounts
from bundled_model.conversations.asker import Talk, boxes, one_turn, the, the_one
from bundled_model.conversations.forms import form
from bundled_model.conversations.groups import Groups
from bundled_model.conversations.places import Places
from bundled_model.conversations.questions import Turn
from bundled_model.conversations.synonyms import renamed
from bundled_model.conversations.unknowable import any_class, no_picture, small_talk, unknowable
from bundled_model.conversations.wordings.paraphrase import typed
from memvr_integrations.bundled.world import COLORS, Thing, plural, with_article

_RENAMED = 0.12  # share of questions that call a thing by another name


class Interview(Places, Amounts, Groups):
    """Asks about one scene; every method gives the talks of one kind of question."""

    def talks(self, size: int) -> list[Talk]:
        """A caption, and about `size` questions of all kinds."""
        talks = self.caption()
        while len(talks) < size:
            talks += self.one(self.rng.choices(list(MIX), list(MIX.values()))[0])
        return [self._as_typed(talk) for talk in talks]

    def one(self, kind: str) -> list[Talk]:
        """Talks of a kind; of another where the scene has nothing for it."""
        return self.only(kind) or self.exists()

    def only(self, kind: str) -> list[Talk]:
        """Talks of a kind, none where the scene has nothing for it."""
        return _KINDS[kind](self)

    def caption(self) -> list[Talk]:
        """Everything in a sentence."""
        question = self.ask("caption")
        return [one_turn(question, truths.caption(self.scene))]

    def exists(self) -> list[Talk]:
        """The same thing asked long and short, in two to three wordings."""
        present = self.rng.random() < 0.5
        name = self.there().name if present else self.missing()
        forms = [True, False] + [self.rng.random() < 0.5] * (self.rng.random() < 0.3)
        slots = {"a": with_article(name), "c": name, "p": plural(name)}
        return self.alike("exists", forms, present, truths.existence(name, present), slots)

    def exists_color(self) -> list[Talk]:
        """A thing in a colour, right or wrong."""
        if not self.painted:
            return []
        thing = self.rng.choice(self.painted)
        present = self.rng.random() < 0.5
        color = thing.color if present else self.other_color(thing.color)
        name = f"{color} {thing.name}"
        slots = {"a": with_article(name), "c": name, "p": f"{color} {plural(thing.name)}"}
        answer = truths.existence(name, present)
        return self.alike("exists color", [self.rng.random() < 0.5], present, answer, slots)

    def color(self) -> list[Talk]:
        """The colour of what is painted; now and then of what isn't, or isn't there."""
        if self.rng.random() < 0.12:
            name = self.missing()
            return [one_turn(self.ask("color", **the_one(name)), truths.none_of(name))]
        if not self.painted or self.rng.random() < 0.25:
            thing = self.there()
            answer = truths.coloring(self.scene, thing)
            return [one_turn(self.ask("color", **the(thing)), answer)] if answer else []
        thing = self.rng.choice(self.painted)
        if thing.count > 1 and self.rng.random() < 0.3:
            question = self.ask("color", **the_one(thing.name))
            return [one_turn(question, f"The {truths.noun(thing)} are {thing.color}.")]
        asked = self.ask("color", **the(thing))
        talks = [one_turn(asked, f"The {truths.noun(thing)} {truths.verb(thing)} {thing.color}.")]
        if self.rng.random() < 0.25:
            short = self.ask("color", **the(thing)) + self.rng.choice(ONE_WORD)
            talks.append(one_turn(short, truths.sentence(str(thing.color))))
        return talks

    def is_color(self) -> list[Talk]:
        """Whether something has a colour."""
        thing = self.rng.choice(self.painted or self.scene.things)
        if self.rng.random() < 0.2:
            thing = self.there()
        its = truths.seen_color(self.scene, thing)
        if its is None:
            return []
        right = self.rng.random() < 0.5
        color = its if right else self.other_color(its)
        truth = f"the {truths.noun(thing)} {truths.verb(thing)} {its}."
        forms = [True, False] if self.rng.random() < 0.3 else [self.rng.random() < 0.3]
        answer = f"{'Yes' if right else 'No'}, {truth}"
        return self.alike("is color", forms, right, answer, {**the(thing), "color": color})

    def either_color(self) -> list[Talk]:
        """Which of two colours something has."""
        if not self.painted:
            return []
        thing = self.rng.choice(self.painted)
        colors = [str(thing.color), self.other_color(thing.color)]
        self.rng.shuffle(colors)
        question = self.ask("either color", **the(thing), color=colors[0], other=colors[1])
        return [one_turn(question, f"The {truths.noun(thing)} {truths.verb(thing)} {thing.color}.")]

    def anything_color(self) -> list[Talk]:
        """Whether anything has a colour, and what."""
        color = self.rng.choice(list(COLORS))
        if self.painted and self.rng.random() < 0.6:
            color = str(self.rng.choice(self.painted).color)
        found = [thing for thing in self.painted if thing.color == color]
        if not truths.only_painted(self.scene, color):
            return []
        things = truths.join([f"the {truths.noun(thing)}" for thing in found]) if found else ""
        are = "is" if len(found) == 1 and found[0].count == 1 else "are"
        if self.rng.random() < 0.35:
            truth = f"{things} {are} {color}" if found else f"nothing is {color}"
            return [one_turn(self.ask("what is color", color=color), truths.sentence(truth))]
        answer = f"Yes, {things} {are} {color}." if found else f"No, nothing is {color}."
        return self.alike(
            "anything color", [self.rng.random() < 0.3], bool(found), answer, {"color": color}
        )

    def everything(self) -> list[Talk]:
        """All things."""
        things = truths.left_to_right(self.scene)
        return [one_turn(self.ask("list"), truths.inventory(things, color=False))]

    def theme(self) -> list[Talk]:
        """What kind of scene it is."""
        return [one_turn(self.ask("theme"), f"This is {with_article(self.scene.theme)} scene.")]

    def is_theme(self) -> list[Talk]:
        """Whether it is some kind of scene."""
        right = self.rng.random() < 0.5
        others = [theme for theme in self.themes if theme != self.scene.theme]
        if others and self.rng.random() < 0.3:
            both = [with_article(self.scene.theme), with_article(self.rng.choice(others))]
            self.rng.shuffle(both)
            question = self.ask("either theme", a=both[0], b=both[1])
            return [one_turn(question, f"This is {with_article(self.scene.theme)} scene.")]
        asked = self.scene.theme if right or not others else self.rng.choice(others)
        yes = "Yes" if asked == self.scene.theme else "No"
        question = self.ask("is theme", a=with_article(asked))
        return [one_turn(question, f"{yes}, this is {with_article(self.scene.theme)} scene.")]

    def json(self) -> list[Talk]:
        """Everything in the fixed format."""
        return [one_turn(self.ask("json"), truths.as_json(self.scene))]

    def form(self) -> list[Talk]:
        """A schema to fill in."""
        return [Talk(turns=(form(self.scene, self.rng, self.themes),))]

    def unknowable(self) -> list[Talk]:
        """What no picture answers."""
        name = self.there().name if self.rng.random() < 0.7 else any_class(self.rng)
        return [Talk(turns=(unknowable(name, self.rng),))]

    def small_talk(self) -> list[Talk]:
        """A greeting, with the picture or without."""
        blind = self.rng.random() < 0.5
        return [Talk(turns=(small_talk(self.rng, blind=blind),), pictures=int(not blind))]

    def blind(self) -> list[Talk]:
        """A question about a picture that isn't there."""
        kind = self.rng.choice(("exists", "count", "caption", "where", "list", "color"))
        turn = self.one(kind)[0].turns[0]
        return [Talk(turns=(no_picture(turn.question),), pictures=0)]

    def follow_up(self) -> list[Talk]:
        """A question, and others that lean on its answer."""
        thing = self.there()
        slots = {"a": with_article(thing.name), "c": thing.name, "p": plural(thing.name)}
        turns = [Turn(self.ask("exists", **slots), truths.existence(thing.name, True))]
        leaning, away = self._leaning(thing)
        if self.rng.random() < (0.6 if thing.count > 1 else 0.15):
            turns = [Turn(self.ask("count", **slots), truths.amount(thing.name, thing.count))]
            away = self._counting_on(thing)
        chosen = self.rng.sample(leaning + away, k=self.rng.choice((1, 1, 2)))
        # What leads to another thing comes last: from there on "it" would be that one.
        led = [turn for turn in chosen if turn in away]
        turns += [turn for turn in chosen if turn in leaning] + led[:1]
        return [Talk(turns=tuple(turns))]

    def _leaning(self, thing: Thing) -> tuple[list[Turn], list[Turn]]:
        """What can be asked next about a thing, and what leads away from it."""
        it = {"it": "it" if truths.verb(thing) == "is" else "they", "is_": truths.verb(thing)}
        missing = self.missing()
        turns = [Turn(self.ask("then count"), truths.amount(thing.name, thing.count))]
        asked = self.ask("then exists", a=with_article(missing), p=plural(missing))
        away = [Turn(asked, truths.existence(missing, False))]
        others = [one for one in truths.left_to_right(self.scene) if one is not thing]
        if others:
            other = self.rng.choice(others).name
            asked = self.ask("then exists", a=with_article(other), p=plural(other))
            away.append(Turn(asked, truths.existence(other, True)))
            away.append(Turn(self.ask("then else"), truths.inventory(others, color=False)))
        answer = truths.coloring(self.scene, thing)
        if answer:
            turns += [Turn(self.ask("then color", **it), answer)] * (3 if thing.color else 1)
        if thing.count < 3:
            turns += [Turn(self.ask("then where", **it), truths.positions(thing))] * 2
        if thing.count == 1:
            turns.append(Turn(self.ask("then box"), boxes(thing)))
        return turns, away

    def _counting_on(self, thing: Thing) -> list[Turn]:
        """After a count, "and dogs?" asks for another."""
        counts = {one.name: one.count for one in self.scene.things if one is not thing}
        counts[self.missing()] = 0
        name = self.rng.choice(list(counts))
        asked = self.ask("then count of", p=plural(name))
        return [Turn(asked, truths.amount(name, counts[name]))]

    def _as_typed(self, talk: Talk) -> Talk:
        turns = tuple(
            Turn(self._in_a_hurry(turn.question), turn.answer, turn.blind)
            if "{" not in turn.question
            else turn
            for turn in talk.turns
        )
        return Talk(turns=turns, pictures=talk.pictures, same_as=talk.same_as)

    def _in_a_hurry(self, question: str) -> str:
        if self.rng.random() < _RENAMED:
            question = renamed(question, self.rng)
        return typed(question, self.rng)


_KINDS: dict[str, Callable[[Interview], list[Talk]]] = {
    "exists": Interview.exists,
    "exists color": Interview.exists_color,
    "count": Interview.count,
    "is count": Interview.is_count,
    "compare count": Interview.compare_count,
    "more": Interview.more,
    "most": Interview.most,
    "how many things": Interview.how_many_things,
    "color": Interview.color,
    "is color": Interview.is_color,
    "either color": Interview.either_color,
    "anything color": Interview.anything_color,
    "where": Interview.where,
    "is where": Interview.is_where,
    "is half": Interview.is_half,
    "what is where": Interview.what_is_where,
    "what is related": Interview.what_is_related,
    "related": Interview.related,
    "list": Interview.everything,
    "besides": Interview.besides,
    "two": Interview.two,
    "group": Interview.group,
    "stranger": Interview.stranger,
    "theme": Interview.theme,
    "is theme": Interview.is_theme,
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
    "exists": 0.10,
    "exists color": 0.03,
    "two": 0.025,
    "group": 0.045,
    "stranger": 0.035,
    "count": 0.15,
    "is count": 0.015,
    "compare count": 0.025,
    "more": 0.015,
    "most": 0.005,
    "how many things": 0.015,
    "color": 0.08,
    "is color": 0.025,
    "either color": 0.01,
    "anything color": 0.03,
    "where": 0.15,
    "is where": 0.05,
    "is half": 0.03,
    "what is where": 0.05,
    "related": 0.13,
    "what is related": 0.035,
    "list": 0.025,
    "besides": 0.01,
    "theme": 0.01,
    "is theme": 0.01,
    "box": 0.12,
    "json": 0.03,
    "form": 0.025,
    "unknowable": 0.02,
    "small talk": 0.01,
    "blind": 0.01,
    "follow up": 0.06,
}
