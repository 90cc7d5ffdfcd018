"""Larger schemas than `forms` has: varied names, nested records, values copied from a text."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bundled_model.conversations import truths
from bundled_model.conversations.asker import Talk
from bundled_model.conversations.forms import ANSWER_IN_JSON
from bundled_model.conversations.questions import Turn, absent
from bundled_model.conversations.tools.strings import KINDS, pseudo_word
from bundled_model.conversations.wordings.paraphrase import say
from memvr_integrations.bundled.world import COLORS, Scene, Thing, plural, with_article

_ASKED = (
    "[Fill in|Fill out|Complete] the [form|record|fields].",
    "[Please|] [extract|collect|write down] [the fields|what is asked|the data].",
    "What [is there|do you see|can be seen][ here|]?",
    "[Describe|Look at|Report on] the [image|picture|scene].",
    "[Answer|Give] the fields below.",
)
_EXTRACTS = (
    "[Extract|Take|Read] the [fields|data] from [this|the text]: {text}",
    "{text}",
    "[Turn this into a record|Write this as a record]: {text}",
)
_TITLES = ("Scene", "Seen", "Item", "Details", "View", "Data", "Entry", "Info")


@dataclass(frozen=True)
class Field:
    """A property: its name, its schema, and what is true of the scene."""

    name: str
    schema: dict[str, object]
    truth: object


def record(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Talk:
    """A schema of one to five fields about a picture; one in three is about a text instead."""
    if rng.random() < 0.35:
        return _extracted(rng)
    fields: dict[str, Field] = {}
    number = rng.choice((1, 2, 2, 3, 3, 4, 5))
    while len(fields) < number:
        made = rng.choices(list(_MAKERS), list(_MAKERS.values()))[0](scene, rng, themes)
        if made is not None:
            fields.setdefault(made.name, made)
    return _asked(say(rng.choice(_ASKED), rng), list(fields.values()), rng, pictures=1)


def _asked(question: str, fields: Sequence[Field], rng: random.Random, *, pictures: int) -> Talk:
    schema = _object(fields, rng, title=rng.choice(_TITLES))
    answer = {field.name: field.truth for field in fields}
    asked = f"{question} {ANSWER_IN_JSON} {json.dumps(schema, ensure_ascii=False)}"
    said = json.dumps(answer, ensure_ascii=False)
    return Talk(turns=(Turn(asked, said, blind=not pictures),), pictures=pictures)


def _object(fields: Sequence[Field], rng: random.Random, *, title: str = "") -> dict[str, object]:
    properties = {field.name: field.schema for field in fields}
    if rng.random() < 0.3:  # as pydantic writes it
        properties = {
            key: {**schema, "title": key.replace("_", " ").title()}
            for key, schema in properties.items()
        }
    head: dict[str, object] = {"title": title} if title and rng.random() < 0.6 else {}
    if head and rng.random() < 0.2:
        head["description"] = rng.choice(("What the picture shows.", "What is seen.", "A record."))
    required = {"required": list(properties)}
    if rng.random() < 0.5:
        return {"properties": properties, **required, **head, "type": "object"}
    return head | {"type": "object", "properties": properties, **required}


def _extracted(rng: random.Random) -> Talk:
    """Values that stand in a text, without any picture."""
    fields, parts = list[Field](), list[str]()
    for kind in rng.sample(KINDS, rng.choice((1, 2, 2, 3))):
        key, value = rng.choice(kind.names), kind.make(rng)
        fields.append(Field(key, {"type": kind.type}, value))
        parts.append(rng.choice(("the {} is {}", "{}: {}", "{} {}", "{} = {}")).format(key, value))
    order = rng.sample(parts, len(parts))
    text = f"{'; '.join(order)}." if rng.random() < 0.5 else f"{truths.join(order)}."
    mark = "\x00"
    question = say(rng.choice(_EXTRACTS), rng, text=mark).replace(mark, text)
    return _asked(question, fields, rng, pictures=0)


def _some(scene: Scene, rng: random.Random, themes: Sequence[str]) -> tuple[str, int]:
    if rng.random() < 0.4:
        return absent(scene, rng, themes), 0
    thing = rng.choice(scene.things)
    return thing.name, thing.count


def _count(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Field:
    one, count = _some(scene, rng, themes)
    many = plural(one).replace(" ", "_")
    schema: dict[str, object] = {"type": "integer"}
    if rng.random() < 0.3:
        schema |= {"minimum": 0, "maximum": max(count, rng.choice((4, 5, 8, 10, 20)))}
    key = rng.choice((
        many, many, one, f"number_of_{many}", f"num_{many}", f"{one}_count", f"total_{many}",
        f"n_{many}", f"count_{many}", f"{many}_seen", f"numberOf{many.title().replace('_', '')}",
    ))  # fmt: skip
    if key == one or rng.random() < 0.2:
        schema["description"] = rng.choice(("How many {} there are.", "Number of {}.", "{} in the "
                                            "picture")).format(plural(one))  # fmt: skip
    if rng.random() < 0.08:  # then the description alone says what is meant
        key, schema["description"] = pseudo_word(rng), f"How many {plural(one)} there are."
    return Field(key, schema, count)


def _presence(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Field:
    one, count = _some(scene, rng, themes)
    key = rng.choice((
        f"has_{one}", f"{one}_visible", f"is_there_{one}", f"{one}_present", f"contains_{one}",
        f"any_{plural(one).replace(' ', '_')}", f"shows_{one}", f"{one}_seen", f"has{one.title()}",
        f"with_{one}", f"is_{one}_present",
    ))  # fmt: skip
    schema: dict[str, object] = {"type": "boolean"}
    if rng.random() < 0.15:
        schema["description"] = f"Whether there is {with_article(one)}."
        if rng.random() < 0.4:
            key = pseudo_word(rng)
    if rng.random() < 0.15:
        return Field(key, {"enum": ["yes", "no"], "type": "string"}, "yes" if count else "no")
    return Field(key, schema, count > 0)


def _theme(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Field:
    key = rng.choice(
        ("place", "scene", "setting", "kind", "where", "theme", "background", "scenery")
    )
    if rng.random() < 0.25:
        return Field(key, {"type": "string"}, scene.theme)
    others = [theme for theme in themes if theme != scene.theme]
    choices = [
        scene.theme,
        *rng.sample(others, rng.randint(1, max(len(others), 1)) if others else 0),
    ]
    rng.shuffle(choices)
    return Field(key, {"enum": choices, "type": "string"}, scene.theme)


def _color(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Field | None:
    painted = [thing for thing in scene.things if thing.color]
    if not painted:
        return None
    thing = rng.choice(painted)
    schema: dict[str, object] = {"type": "string"}
    if rng.random() < 0.4:
        others = [color for color in COLORS if color != thing.color]
        choices = [str(thing.color), *rng.sample(others, rng.randint(1, len(others)))]
        schema["enum"] = rng.sample(choices, len(choices))
    one = thing.name
    key = rng.choice((f"{one}_color", f"color_of_{one}", f"{one}_colour", f"color_{one}"))
    return Field(key, schema, thing.color)


def _things(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Field:
    things = truths.left_to_right(scene)
    key = rng.choice(("things", "objects", "items", "contents", "seen", "list", "inventory"))
    if rng.random() < 0.5:
        schema: dict[str, object] = {"type": "array", "items": {"type": "string"}}
        return Field(key, schema, [thing.name for thing in things])
    called = rng.choice(
        (("name", "count"), ("name", "number"), ("what", "how_many"), ("thing", "n"))
    )
    properties = [
        Field(called[0], {"type": "string"}, ""),
        Field(called[1], {"type": "integer"}, 0),
    ]
    schema = {"type": "array", "items": _object(properties, rng)}
    return Field(key, schema, [dict(zip(called, (t.name, t.count), strict=True)) for t in things])


def _nested(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Field:
    """One thing in a record of its own."""
    thing: Thing = rng.choice(scene.things)
    fields = [Field(rng.choice(("count", "number")), {"type": "integer"}, thing.count)]
    if thing.color:
        fields.append(Field("color", {"type": "string"}, thing.color))
    where = rng.choice(("place", "where", "position"))
    if thing.count == 1 and rng.random() < 0.5:
        at = truths.positions(thing).split(" is ")[-1].rstrip(".").split(" are ")[-1]
        fields.append(Field(where, {"type": "string"}, at))
    return Field(thing.name, _object(fields, rng), {field.name: field.truth for field in fields})


def _words(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Field:
    key = rng.choice(("description", "caption", "summary", "text", "what"))
    return Field(key, {"type": "string"}, truths.caption(scene))


_MAKERS: dict[Callable[[Scene, random.Random, Sequence[str]], Field | None], float] = {
    _count: 0.3,
    _presence: 0.25,
    _theme: 0.12,
    _color: 0.12,
    _things: 0.09,
    _nested: 0.06,
    _words: 0.06,
}
