"""Questions that are answered by filling in a JSON schema, with the true answers."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bundled_model.conversations import truths
from bundled_model.conversations.questions import Turn, absent, count_question, existence_question
from memvr_integrations.bundled.world import COLORS, Scene, Thing, plural

# As the package asks for JSON; a test holds the two together.
ANSWER_IN_JSON = "Answer with JSON that fits this schema:"
_ASKED = (
    "What is in the picture?",
    "Describe the picture.",
    "Fill in the form.",
    "What do you see?",
    "Look at the image and answer.",
)
_TITLES = ("Scene", "Picture", "Answer", "Found", "Report", "Record", "Contents")


@dataclass(frozen=True)
class _Field:
    """One property of a form: its schema, and what is true of the scene."""

    name: str
    schema: dict[str, object]
    truth: object


_Maker: TypeAlias = Callable[[Scene, random.Random, Sequence[str]], _Field | None]


def form(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Turn:
    """A question with a schema of one to three fields, and the JSON that fits and is true."""
    fields: dict[str, _Field] = {}
    asked = rng.choice(_ASKED)
    if rng.random() < 0.4:
        asked, first = _question(scene, rng, themes)
        fields[first.name] = first
    for _ in range(rng.choice((0, 0, 1)) if fields else rng.choice((1, 1, 2, 2, 3))):
        made = rng.choice(_MAKERS)(scene, rng, themes)
        if made is not None:
            fields.setdefault(made.name, made)
    if not fields:
        made = _count(scene, rng, themes)
        fields[made.name] = made
    properties = {field.name: field.schema for field in fields.values()}
    head: dict[str, object] = {"title": rng.choice(_TITLES)} if rng.random() < 0.6 else {}
    schema = head | {"type": "object", "properties": properties, "required": list(properties)}
    if rng.random() < 0.3:  # as pydantic writes it
        schema = {"properties": properties, "required": list(properties), **head, "type": "object"}
    answer = {field.name: field.truth for field in fields.values()}
    question = f"{asked} {ANSWER_IN_JSON} {json.dumps(schema)}"
    return Turn(question, json.dumps(answer))


def _asked_class(scene: Scene, rng: random.Random, themes: Sequence[str]) -> tuple[str, int]:
    """A class to ask about and how many of it there are; half of them are not there."""
    if rng.random() < 0.5:
        return absent(scene, rng, themes), 0
    thing = rng.choice(scene.things)
    return thing.name, thing.count


def _question(scene: Scene, rng: random.Random, themes: Sequence[str]) -> tuple[str, _Field]:
    """An ordinary question, and a field for its answer."""
    name, count = _asked_class(scene, rng, themes)
    called = rng.choice(("answer", "answer", "result", "value", "reply"))
    if rng.random() < 0.4:
        return count_question(name, rng), _Field(called, {"type": "integer"}, count)
    question = existence_question(name, rng)
    yes = "Yes" if count else "No"
    truth, schema = rng.choice(
        (
            (bool(count), {"type": "boolean"}),
            (yes, {"type": "string"}),
            (yes, {"enum": ["Yes", "No"], "type": "string"}),
            (yes.lower(), {"enum": ["yes", "no"]}),
        )
    )
    return question, _Field(called, dict(schema), truth)


def _count(scene: Scene, rng: random.Random, themes: Sequence[str]) -> _Field:
    name, count = _asked_class(scene, rng, themes)
    many = plural(name).replace(" ", "_")
    called = rng.choice((many, many, f"number_of_{many}", f"{name}_count", f"how_many_{many}"))
    schema: dict[str, object] = {"type": "integer"}
    if rng.random() < 0.4:
        schema |= {"minimum": 0, "maximum": max(count, rng.choice((4, 9, 10)))}
    if rng.random() < 0.2:
        schema["description"] = f"How many {plural(name)} there are."
    return _Field(called, schema, count)


def _presence(scene: Scene, rng: random.Random, themes: Sequence[str]) -> _Field:
    name, count = _asked_class(scene, rng, themes)
    called = rng.choice((f"has_{name}", name, f"{name}_visible", f"is_there_{name}"))
    if rng.random() < 0.75:
        return _Field(called, {"type": "boolean"}, count > 0)
    return _Field(called, {"enum": ["yes", "no"]}, "yes" if count else "no")


def _theme(scene: Scene, rng: random.Random, themes: Sequence[str]) -> _Field:
    called = rng.choice(("place", "scene", "kind_of_scene", "kind", "where", "theme"))
    choices = rng.sample(list(themes), len(themes))
    if rng.random() < 0.3:
        return _Field(called, {"type": "string"}, scene.theme)
    return _Field(called, {"enum": choices, "type": "string"}, scene.theme)


def _things(scene: Scene, rng: random.Random, themes: Sequence[str]) -> _Field:
    called = rng.choice(("things", "objects", "items", "names", "contents"))
    names = [thing.name for thing in sorted(scene.things, key=_left)]
    return _Field(called, {"type": "array", "items": {"type": "string"}}, names)


def _color(scene: Scene, rng: random.Random, themes: Sequence[str]) -> _Field | None:
    painted = [thing for thing in scene.things if thing.color]
    if not painted:
        return None
    thing = rng.choice(painted)
    schema: dict[str, object] = {"type": "string"}
    if rng.random() < 0.4:
        schema["enum"] = list(COLORS)
    return _Field(
        rng.choice((f"{thing.name}_color", f"color_of_{thing.name}")), schema, thing.color
    )


def _words(scene: Scene, rng: random.Random, themes: Sequence[str]) -> _Field:
    if rng.random() < 0.5:
        called = rng.choice(("description", "caption", "summary"))
        return _Field(called, {"type": "string"}, truths.caption(scene))
    first = min(scene.things, key=_left)
    return _Field(rng.choice(("thing", "object")), {"type": "string"}, first.name)


def _left(thing: Thing) -> float:
    return sum(x for x, _ in thing.centers) / thing.count


_MAKERS: tuple[_Maker, ...] = (
    _count,
    _count,
    _presence,
    _presence,
    _theme,
    _things,
    _color,
    _words,
)
