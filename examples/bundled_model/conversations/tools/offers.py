"""Made-up tools, and what a person says who wants one called, with the call that answers.

What is said names what the tool's name or description names: a small model knows no more of the
world than that. Half of the tools are made of words that mean nothing, so that calling is learnt as
a rule.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from bundled_model.conversations.tools.strings import KINDS, Kind, pseudo_word
from bundled_model.conversations.wordings.paraphrase import say

_VERBS = """
add archive block call cancel check close convert copy count create delete download draw edit
email export fetch find fix get hide import insert install join list load lock look_up make
measure merge move open order pay play post print publish read remove rename rent reset restart
save scan schedule search sell send set share show sort start stop store submit test track
translate unlock update upload write
"""
_NOUNS = """
account alarm album appointment article bill budget calendar channel chart comment concert contact
contract course currency delivery device document draft employee event exchange_rate exam file
flight folder forecast form game grade hotel invoice issue item job label lamp lesson letter
library light log mail map meal meeting member menu movie news note order package page parcel
password payment playlist poem product profile project queue quote receipt recipe record reminder
report review room route sale schedule score server shift ship shop song status stock story
subscription table task team temperature ticket timer timetable tour trip user vehicle_number
video visa voucher wallet website window
"""
VERBS, NOUNS = tuple(_VERBS.split()), tuple(_NOUNS.split())
HELD_OUT_VERBS = ("approve", "book", "forward", "rotate", "water", "invite")
HELD_OUT_NOUNS = ("passport", "garage", "sensor", "festival", "garden_pump", "salary", "newsletter")
NO_TOOL = "I have no tool for that."
HEAD = "You can call these tools, each given by the JSON schema of its arguments:"
# As the package lists tools and reads calls; a test holds the two together.
FOOT = 'To call one, answer with <tool_call>{"name": "its name", "arguments": {...}}</tool_call>.'

_ASKS = (
    "{do}{args}.",
    "[Please|Can you|Could you|I want you to|I need you to] {do}{args}[.|?|]",
    "[I need|Give me|I want|Tell me|Show me] the {noun}{args}[.|, please.]",
    "[What is|What's] the {noun}{args}?",
    "[Use|Call] {name}{args}.",
    "{do}{args}, [please|thanks].",
)
_BY_NAME = ("[Use|Call|Run] {name} with {pairs}.", "What does {name} give [for|with] {pairs}?")
_DESCRIPTIONS = (
    "",
    "{Does} the {noun}.",
    "{Do} the {noun}.",
    "{Does} [a|an|one] {noun} by its {keys}.",
    "Use this to {do} the {noun}.",
    "{Do} {noun}s [of the shop|for people|online|in the system|].",
    "Tool to {do} a {noun}[ with {keys}|].",
    "{Does} the {noun} and [returns|gives back] [it|the result|text].",
)
_OPAQUE = ("tool", "fn", "func", "action", "api", "helper")


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words that tools are made of."""

    verbs: Sequence[str] = VERBS
    nouns: Sequence[str] = NOUNS
    made_up: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Argument:
    """An argument of a tool, with a value and how a person says it; unsaid ones are left out."""

    key: str
    schema: dict[str, object]
    value: object
    said: str


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A tool that is offered, a request that it answers, and the arguments of that call.

    `about` is what it is about in a word or two: "exchange rate".
    """

    name: str
    description: str
    parameters: dict[str, object]
    request: str
    arguments: dict[str, object]
    about: str

    def shown(self) -> str:
        """The tool as a prompt lists it."""
        tool = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return json.dumps(tool, ensure_ascii=False)

    def call(self) -> str:
        """The call as the model writes it."""
        given = json.dumps(self.arguments, ensure_ascii=False)
        head = f'<tool_call>{{"name": {json.dumps(self.name)}, "arguments": '
        return f"{head}{given}}}</tool_call>"


def system(offers: Sequence[Offer]) -> str:
    """What the system message says of tools."""
    return "\n".join([HEAD, *(offer.shown() for offer in offers), FOOT])


def offer(rng: random.Random, words: Words | None = None) -> Offer:
    """A tool with no to three arguments, and a request for it."""
    words = words or Words()
    verb, noun = rng.choice(words.verbs), rng.choice(words.nouns)
    if rng.random() < words.made_up:
        verb = pseudo_word(rng, 1) if rng.random() < 0.5 else verb
        noun = pseudo_word(rng, 2)
    arguments = some_arguments(rng)
    plain = {"verb": verb.replace("_", " "), "noun": noun.replace("_", " ")}
    name = called(verb, noun, rng)
    description = described(arguments, rng, **plain)
    if rng.random() < 0.12:  # then the description alone says what it does
        name = f"{rng.choice(_OPAQUE)}_{rng.choice((rng.randrange(20), pseudo_word(rng, 1)))}"
        description = described(arguments, rng, **plain) or f"{plain['verb']} {plain['noun']}"
    return Offer(
        name=name,
        description=description,
        parameters=parameters(arguments, rng),
        request=requested(name, arguments, rng, **plain),
        arguments={one.key: one.value for one in arguments if one.said},
        about=plain["noun"],
    )


def called(verb: str, noun: str, rng: random.Random) -> str:
    """The name of a tool in one of the usual spellings."""
    camel = verb + "".join(part.capitalize() for part in noun.split("_"))
    return rng.choice((
        f"{verb}_{noun}", f"{verb}_{noun}", f"{verb}_{noun}", camel, noun, f"{noun}_{verb}",
        f"{verb}-{noun}".replace("_", "-"), f"{verb}_{noun}_tool", f"{verb}{noun}".replace("_", ""),
    ))  # fmt: skip


def described(arguments: Sequence[Argument], rng: random.Random, *, verb: str, noun: str) -> str:
    """What a tool says of itself, sometimes nothing."""
    does = verb + ("es" if verb.endswith(("s", "x", "ch", "sh")) else "s")
    keys = " and ".join(one.key for one in arguments) or "name"
    slots = {"do": verb, "Do": verb.capitalize(), "Does": does.capitalize(), "keys": keys}
    return say(rng.choice(_DESCRIPTIONS), rng, noun=noun, **slots)


def some_arguments(rng: random.Random) -> list[Argument]:
    """No to three arguments of different kinds."""
    number = rng.choices((0, 1, 2, 3), (0.18, 0.45, 0.27, 0.1))[0]
    if number == 2 and rng.random() < 0.25:
        return _two_numbers(rng)
    arguments: dict[str, Argument] = {}
    for kind in rng.sample(KINDS, number):
        made = rng.choices((_plain, _choice, _several), (0.85, 0.1, 0.05))[0](kind, rng)
        arguments.setdefault(made.key, made)
    return list(arguments.values())


def _plain(kind: Kind, rng: random.Random) -> Argument:
    key, value = rng.choice(kind.names), kind.make(rng)
    if rng.random() < 0.1:
        key = pseudo_word(rng)
    if rng.random() < 0.15:
        key = f"{pseudo_word(rng, 1)}_{key}"
    said = " " + rng.choice(kind.said).format(v=value, k=key.replace("_", " "))
    schema: dict[str, object] = {"type": kind.type}
    if rng.random() < 0.15:
        schema["description"] = rng.choice(("The {}.", "{} to use", "{}")).format(key)
    return Argument(key=key, schema=schema, value=value, said=said)


def _choice(kind: Kind, rng: random.Random) -> Argument:
    """One of a few words."""
    key = rng.choice(("unit", "kind", "mode", "format", "style", "language", "type"))
    choices = [pseudo_word(rng, rng.choice((1, 2))) for _ in range(rng.choice((2, 3)))]
    value = rng.choice(choices)
    said = rng.choice((" in {}", " as {}", " with the {k} {}")).format(value, k=key)
    return Argument(key=key, schema={"enum": choices, "type": "string"}, value=value, said=said)


def _several(kind: Kind, rng: random.Random) -> Argument:
    """A list of texts or numbers."""
    values = [kind.make(rng) for _ in range(rng.choice((2, 2, 3)))]
    key = rng.choice(kind.names) + "s"
    said = " for " + ", ".join(map(str, values[:-1])) + f" and {values[-1]}"
    schema: dict[str, object] = {"type": "array", "items": {"type": kind.type}}
    return Argument(key=key, schema=schema, value=values, said=said)


def _two_numbers(rng: random.Random) -> list[Argument]:
    keys = rng.choice((("a", "b"), ("x", "y"), ("first", "second"), ("low", "high"), ("m", "n")))
    values = [rng.choice((1, 1, 1, -1)) * rng.randint(0, rng.choice((9, 30, 500))) for _ in keys]
    said = (f" {rng.choice(('for', 'of', 'with', 'from'))} {values[0]}", f" and {values[1]}")
    return [
        Argument(key=key, schema={"type": "integer"}, value=value, said=text)
        for key, value, text in zip(keys, values, said, strict=True)
    ]


def parameters(arguments: Sequence[Argument], rng: random.Random) -> dict[str, object]:
    """The schema of the arguments, in one of the orders that libraries write."""
    properties = {one.key: one.schema for one in arguments}
    if rng.random() < 0.25:  # as pydantic writes it
        properties = {
            key: {"title": key.replace("_", " ").title(), **schema}
            for key, schema in properties.items()
        }
    required = {"required": [one.key for one in arguments if one.said]} if arguments else {}
    if rng.random() < 0.5:
        return {"properties": properties, **required, "type": "object"}
    extra: dict[str, object] = {"additionalProperties": False} if rng.random() < 0.1 else {}
    return {"type": "object", "properties": properties, **required, **extra}


def requested(
    name: str, arguments: Sequence[Argument], rng: random.Random, *, verb: str, noun: str
) -> str:
    """What a person says who wants it called so."""
    if arguments and rng.random() < 0.15:
        sign = rng.choice(("=", " ", " = ", ": "))
        pairs = " and ".join(f"{one.key}{sign}{one.value}" for one in arguments)
        return _told(rng.choice(_BY_NAME), pairs, rng, name=name)
    if arguments and rng.random() < 0.05:
        return f"{name}({', '.join(str(one.value) for one in arguments)})?"
    said = "".join(one.said for one in arguments)
    the = rng.choice(("the", "a", "my", "the"))
    return _told(rng.choice(_ASKS), said, rng, do=f"{verb} {the} {noun}", noun=noun, name=name)


def _told(pattern: str, values: str, rng: random.Random, **slots: str) -> str:
    """A pattern with made-up values in it, which the grammar of patterns must not read."""
    mark = "\x00"
    slots |= {"args": mark, "pairs": mark}
    return say(pattern, rng, **slots).replace(mark, values)
