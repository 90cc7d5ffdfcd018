"""Conversations with made-up tools: what is called was offered, what is copied was said."""

import json
import random
import re

import jsonschema
import pytest
from bundled_model.conversations.tools.drills import drill
from bundled_model.conversations.tools.offers import (
    HELD_OUT_NOUNS,
    HELD_OUT_VERBS,
    NO_TOOL,
    NOUNS,
    VERBS,
    Words,
    offer,
    system,
)
from bundled_model.conversations.tools.results import result
from bundled_model.conversations.tools.talks import KINDS, only, talk
from bundled_settings import FIRST_THEMES

from memvr_integrations.backend import Message, Request, Tool
from memvr_integrations.backend.hosting.prompts.conversation import plain_messages

CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
HELD_OUT = Words(verbs=HELD_OUT_VERBS, nouns=HELD_OUT_NOUNS, made_up=0.0)


def offered(talk):
    """The parameters of every tool that a talk lists, by its name."""
    shown = map(json.loads, talk.system.split("\n")[1:-1])
    return {one["name"]: one["parameters"] for one in shown}


def calls(talk):
    """The calls of a talk, each with all that was said before it."""
    said = ""
    for turn in talk.turns:
        said += f"\n{turn.question}"
        for text in CALL.findall(turn.answer):
            yield json.loads(text), said
        said += f"\n{turn.answer}"


def values(arguments):
    for value in arguments.values():
        yield from value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def made(scenes):
    """Talks of each kind."""
    return {
        kind: [
            only(kind, scenes[seed % len(scenes)], random.Random(seed), FIRST_THEMES)
            for seed in range(60)
        ]
        for kind in KINDS
    }


def test_tools_are_listed_as_the_package_lists_them():
    offers = [offer(random.Random(seed)) for seed in range(3)]
    tools = [
        Tool(name=one.name, description=one.description, parameters=one.parameters)
        for one in offers
    ]
    [listing, _] = plain_messages(Request(messages=[Message("user", "Hi")], tools=tools))
    assert [part.text for part in listing.content] == [system(offers)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_fits_the_schema_of_a_tool_that_is_offered(made, kind):
    for one in made[kind]:
        for call, _ in calls(one):
            jsonschema.validate(call["arguments"], offered(one)[call["name"]])


@pytest.mark.parametrize("kind", ["called", "answered from", "twice", "called with a picture"])
def test_every_argument_was_said_before(made, kind):
    found = 0
    for one in made[kind]:
        for call, said in calls(one):
            for value in values(call["arguments"]):
                assert str(value).lower() in said.lower()
                found += 1
    assert found > 30


def test_a_kind_calls_as_often_as_its_name_says(made):
    number = {kind: {len(list(calls(one))) for one in talks} for kind, talks in made.items()}
    assert number["called"] == number["called with a picture"] == number["noted"] == {1}
    assert number["twice"] == {2}
    assert number["picture asked for"] == {1}
    assert number["picture described"] == number["no picture"] == number["no tool"] == {0}
    assert {turn.answer for one in made["no tool"] for turn in one.turns} > {NO_TOOL}


def test_pictures_are_shown_where_the_kind_says(made):
    for kind, pictures in (("called", 0), ("picture described", 1), ("called with a picture", 1)):
        assert {(one.pictures, one.shown_at) for one in made[kind]} == {(pictures, 0)}
    assert {(one.pictures, one.shown_at) for one in made["picture asked for"]} == {(1, 1)}


def test_what_is_noted_is_true_of_the_picture(made, scenes):
    checked = 0
    for seed, one in enumerate(made["noted"]):
        counts = {thing.name: thing.count for thing in scenes[seed % len(scenes)].things}
        [(call, _)] = calls(one)
        for key, value in call["arguments"].items():
            if key.endswith("_present"):
                assert value == (key.removesuffix("_present") in counts)
                checked += 1
            if key == "things":
                assert set(value) == set(counts)
                checked += 1
    assert checked > 10


def test_an_answer_from_a_result_says_nothing_else():
    for seed in range(200):
        given = result("parcel", random.Random(seed))
        numbers = re.findall(r"\d+", given.answer)
        assert set(numbers) <= set(re.findall(r"\d+", given.text))
        assert given.answer.endswith(".") or given.answer == given.text


def test_words_of_the_exam_are_held_out(scenes):
    assert not {*HELD_OUT_VERBS} & {*VERBS}
    assert not {*HELD_OUT_NOUNS} & {*NOUNS}
    one = only("called", scenes[0], random.Random(0), FIRST_THEMES, HELD_OUT)
    [(_, said)] = calls(one)
    assert any(noun.replace("_", " ") in said.lower() for noun in HELD_OUT_NOUNS)


def test_kinds_come_as_often_as_they_should(scenes):
    rng = random.Random(0)
    called = [bool(list(calls(talk(scenes[0], rng, FIRST_THEMES)))) for _ in range(200)]
    may = sum(KINDS[k] for k in KINDS if k not in ("picture described", "no picture", "no tool"))
    assert sum(called) / len(called) == pytest.approx(may, abs=0.1)


def test_drills_ask_for_nothing_that_was_not_said():
    for seed in range(300):
        one = drill(random.Random(seed))
        assert one.pictures == 0
        said = ""
        for turn in one.turns:
            said += turn.question
            calling = CALL.fullmatch(turn.answer)
            answer = json.loads(calling[1])["arguments"] if calling else turn.answer
            if isinstance(answer, str) and answer[0] in '[{"':
                answer = json.loads(answer)
            parts = [answer] if isinstance(answer, str) else answer
            parts = values(parts) if isinstance(parts, dict) else parts
            assert all(str(part).lower() in said.lower() for part in parts)
