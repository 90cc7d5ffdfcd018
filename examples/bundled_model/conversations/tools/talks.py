"""Conversations with tools about a scene: called or not, with results in words or in a picture."""

import random
from collections.abc import Sequence

from bundled_model.conversations import truths
from bundled_model.conversations.asker import Talk
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.questions import NO_IMAGE, Turn
from bundled_model.conversations.tools.offers import NO_TOOL, Offer, Words, offer, system
from bundled_model.conversations.tools.results import result
from bundled_model.conversations.tools.strings import name, pseudo_word, whole
from bundled_model.conversations.unknowable import small_talk
from bundled_model.conversations.wordings.paraphrase import say, typed
from memvr_integrations.bundled.world import COLORS, Scene, plural

KINDS = {
    "called": 0.22,
    "answered from": 0.2,
    "twice": 0.05,
    "picture asked for": 0.16,
    "picture described": 0.12,
    "no picture": 0.03,
    "called with a picture": 0.05,
    "noted": 0.1,
    "no tool": 0.07,
}
"""How often each kind of conversation with tools comes."""

_SEEING = (
    "camera", "photo", "picture", "snapshot", "frame", "view", "scan", "screen", "webcam", "window",
)  # fmt: skip
_SHOWING = ("get", "take", "show", "fetch", "open", "grab", "load", "see", "capture", "current")
_SHOWS = (
    "{Do}s a {it}.", "{Do} the {it}.", "Returns a {it} [to look at|of what is there|].",
    "[Shows|Gives] what [the|a] {it} [shows|sees|holds] [now|].", "",
    "Use this to see [the {it}|what there is|something].",
    "[The|A] {it} of [the place|what is in front of it|the scene].",
)  # fmt: skip
_NOTING = ("record", "note", "report", "save", "log", "submit", "write", "enter", "count", "set")
_NOTES = (
    "{Do} what the picture shows.", "{Do}s what is seen.", "Use this to {do} what you see.",
    "[Takes|Keeps] {keys} of what is seen.", "",
)  # fmt: skip
_NOTE_IT = (
    "{Do} what you see.", "[Please|] {do} what is in the [picture|image].",
    "{Do} the [picture|image].",
    "[Use|Call] {name} [for|on] this [picture|image].", "{Do} {keys}.",
)  # fmt: skip
_LOOKED_AT = ("exists", "exists", "count", "count", "color", "where", "list", "caption", "theme")


def talk(
    scene: Scene, rng: random.Random, themes: Sequence[str], words: Words | None = None
) -> Talk:
    """One conversation with tools; where it has a picture, it is of the scene."""
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    return only(kind, scene, rng, themes, words)


def only(
    kind: str, scene: Scene, rng: random.Random, themes: Sequence[str], words: Words | None = None
) -> Talk:
    """One conversation of a kind."""
    teller = Teller(scene, rng, themes, words or Words())
    return teller.of(kind)


class Teller:
    """Tells conversations with tools about one scene."""

    def __init__(
        self, scene: Scene, rng: random.Random, themes: Sequence[str], words: Words
    ) -> None:
        self.scene, self.rng, self.themes, self.words = scene, rng, themes, words

    def of(self, kind: str) -> Talk:
        """A conversation of a kind."""
        if kind in ("called", "answered from", "twice"):
            return self._called(kind)
        if kind in ("picture asked for", "picture described", "no picture"):
            return self._seen(kind)
        if kind == "called with a picture":
            wanted = offer(self.rng, self.words)
            turns = [Turn(self._typed(wanted.request), wanted.call())]
            return self._talk(turns, [wanted], pictures=1)
        return self._noted() if kind == "noted" else self._refused()

    def _called(self, kind: str) -> Talk:
        wanted = offer(self.rng, self.words)
        if kind == "twice":
            return self._twice(wanted)
        turns = [Turn(self._typed(wanted.request), wanted.call())]
        if kind == "called":
            return self._talk(turns, [wanted], pictures=0)
        turns.append(self._result_of(wanted))
        others = list[Offer]()
        if self.rng.random() < 0.25:
            others.append(offer(self.rng, self.words))
            turns.append(Turn(self._typed(others[0].request), others[0].call()))
        return self._talk(turns, [wanted, *others], pictures=0)

    def _twice(self, wanted: Offer) -> Talk:
        """Two calls at once: both tools are asked for in one message."""
        other = offer(self.rng, self.words)
        joined = f"{wanted.request.rstrip('.?')} and {other.request[0].lower()}{other.request[1:]}"
        turns = [Turn(joined, wanted.call() + other.call())]
        if self.rng.random() < 0.5:
            given = [self._result_of(one) for one in (wanted, other)]
            questions, answers = zip(*((one.question, one.answer) for one in given), strict=True)
            turns.append(Turn(" ".join(questions), " ".join(answers)))
        return self._talk(turns, [wanted, other], pictures=0)

    def _result_of(self, wanted: Offer) -> Turn:
        given = result(wanted.about, self.rng)
        return Turn(self._response(wanted, f"{given.text} "), given.answer)

    def _response(self, wanted: Offer, text: str) -> str:
        named = f' name="{wanted.name}"' if self.rng.random() < 0.7 else ""
        return f"<tool_response{named}> {text}</tool_response>"

    def _seen(self, kind: str) -> Talk:
        """A question about what no picture has shown yet, with a tool that gives one."""
        asker = Interview(self.scene, self.rng, self.themes)
        asked = asker.one(self.rng.choice(_LOOKED_AT))[0].turns[0]
        if kind == "no picture":
            return self._talk([Turn(self._typed(asked.question), NO_IMAGE)], [], pictures=0)
        if kind == "picture described":
            looking = [self._camera()[0]] if self.rng.random() < 0.4 else []
            # The caption comes first, and what is asked without a picture shows none.
            more = next(one for one in asker.talks(6)[1:] if one.pictures == 1)
            return self._talk([*more.turns], looking, pictures=1)
        looking_at, said = self._camera()
        question = self._typed(asked.question)
        if said:
            question = f"{question.rstrip('?. ')}{said}?"
        turns = [
            Turn(question, looking_at.call()),
            Turn(self._response(looking_at, ""), asked.answer),
        ]
        if self.rng.random() < 0.4:
            turns.append(asker.one(self.rng.choice(_LOOKED_AT))[0].turns[0])
        return self._talk(turns, [looking_at], pictures=1, shown_at=1)

    def _camera(self) -> tuple[Offer, str]:
        """A tool that gives a picture, and what is said of its argument, if it has one."""
        it, verb = self.rng.choice(_SEEING), self.rng.choice(_SHOWING)
        slots = {"it": it, "Do": verb.capitalize()}
        properties, arguments, said = dict[str, object](), dict[str, object](), ""
        if self.rng.random() < 0.4:
            key = self.rng.choice(("place", "room", "id", "name", "number", "where", "camera_id"))
            number = key in ("id", "number", "camera_id")
            properties[key] = {"type": "integer" if number else "string"}
            arguments[key] = whole(self.rng) if number else name(self.rng)
            said = f" {'in' if not number else f'on {it}'} {arguments[key]}"
        keys: dict[str, object] = {"required": list(properties)} if properties else {}
        spelled = (f"{verb}_{it}", f"{verb}_{it}", it, f"{verb}{it.capitalize()}", f"{it}_now")
        camera = Offer(
            name=self.rng.choice(spelled),
            description=say(self.rng.choice(_SHOWS), self.rng, **slots),
            parameters={"type": "object", "properties": properties, **keys},
            request="",
            arguments=arguments,
            about=it,
        )
        return camera, said

    def _noted(self) -> Talk:
        """A call whose arguments are read off the picture."""
        fields = self._fields()
        keys = truths.join([key.replace("_", " ") for key in fields])
        verb = self.rng.choice(_NOTING)
        slots = {"do": verb, "Do": verb.capitalize(), "keys": keys}
        things = ("things", "picture", "scene", "found", pseudo_word(self.rng))
        called = f"{verb}_{self.rng.choice(things)}"
        properties = {key: schema for key, (schema, _) in fields.items()}
        noting = Offer(
            name=called,
            description=say(self.rng.choice(_NOTES), self.rng, **slots),
            parameters={"type": "object", "properties": properties, "required": list(fields)},
            request=say(self.rng.choice(_NOTE_IT), self.rng, name=called, **slots),
            arguments={key: value for key, (_, value) in fields.items()},
            about=verb,
        )
        return self._talk([Turn(self._typed(noting.request), noting.call())], [noting], pictures=1)

    def _fields(self) -> dict[str, tuple[dict[str, object], object]]:
        asker = Interview(self.scene, self.rng, self.themes)
        fields: dict[str, tuple[dict[str, object], object]] = {}
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            there = self.rng.random() < 0.6
            thing = asker.there()
            named, count = (thing.name, thing.count) if there else (asker.missing(), 0)
            many = plural(named).replace(" ", "_")
            roll = self.rng.random()
            if roll < 0.4:
                key = self.rng.choice((many, f"number_of_{many}", f"{named}_count"))
                fields[key] = ({"type": "integer"}, count)
            elif roll < 0.6:
                key = self.rng.choice((f"has_{named}", f"{named}_present", f"any_{many}"))
                fields[key] = ({"type": "boolean"}, count > 0)
            elif roll < 0.75 and asker.painted:
                painted = self.rng.choice(asker.painted)
                enum: dict[str, object] = {"enum": list(COLORS)} if self.rng.random() < 0.3 else {}
                fields[f"{painted.name}_color"] = ({"type": "string", **enum}, painted.color)
            elif roll < 0.9:
                names = [one.name for one in truths.left_to_right(self.scene)]
                fields["things"] = ({"type": "array", "items": {"type": "string"}}, names)
            else:
                fields["description"] = ({"type": "string"}, truths.caption(self.scene))
        return fields

    def _refused(self) -> Talk:
        """What no tool of those that are offered does."""
        if self.rng.random() < 0.3:
            return self._talk([small_talk(self.rng, blind=True)], [], pictures=0)
        return self._talk(
            [Turn(self._typed(offer(self.rng, self.words).request), NO_TOOL)], [], pictures=0
        )

    def _talk(
        self, turns: Sequence[Turn], offers: list[Offer], *, pictures: int, shown_at: int = 0
    ) -> Talk:
        """With further tools that nobody asks for."""
        least = 0 if offers else 1
        for _ in range(self.rng.choices((0, 1, 2, 3), (0.3, 0.35, 0.25, 0.1))[0] or least):
            other = self._distractor()
            if other.name not in {one.name for one in offers}:
                offers.append(other)
        self.rng.shuffle(offers)
        return Talk(turns=tuple(turns), pictures=pictures, system=system(offers), shown_at=shown_at)

    def _distractor(self) -> Offer:
        return offer(self.rng, self.words)

    def _typed(self, request: str) -> str:
        """In a hurry, where nothing is lost by it: what is copied stays as it was said."""
        kept = any(not letter.isalpha() and letter not in " .,?!'" for letter in request)
        return request if kept or self.rng.random() < 0.6 else typed(request, self.rng)
