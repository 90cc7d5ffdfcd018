"""Larger records, references and other languages: the answers are true."""

import json
import random
import re

import jsonschema
import pytest
from bundled_model.conversations import truths
from bundled_model.conversations.pairs import differs
from bundled_model.conversations.practised.languages import NOT_ENGLISH, foreign_question
from bundled_model.conversations.practised.records import record
from bundled_model.conversations.practised.references import reference
from bundled_settings import FIRST_THEMES

from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned
from memvr_integrations.types.tools import ANSWER_IN_JSON


@pytest.fixture(scope="module")
def records(scenes):
    """Many records: the scene, the talk, the schema and the answer."""
    made = []
    for seed in range(250):
        scene = scenes[seed % len(scenes)]
        talk = record(scene, random.Random(seed), FIRST_THEMES)
        question, _, schema = talk.turns[0].question.partition(f" {ANSWER_IN_JSON} ")
        made.append((scene, talk, question, json.loads(schema), json.loads(talk.turns[0].answer)))
    return made


def test_records_fit_their_schemas_in_order(records):
    for _, _, _, schema, answer in records:
        jsonschema.validate(answer, schema)
        assert list(answer) == list(schema["properties"])


def test_records_of_a_picture_are_true(records):
    checked = 0
    for scene, talk, _, schema, answer in records:
        counts = {thing.name: thing.count for thing in scene.things}
        for key, value in answer.items():
            if talk.pictures and key.startswith("has_"):
                assert value in (True, False, "yes", "no")
                assert (value in (True, "yes")) == (key.removeprefix("has_") in counts)
                checked += 1
            if talk.pictures and key.endswith("_count"):
                assert value == counts.get(key.removesuffix("_count"), 0)
                checked += 1
            if talk.pictures and key in ("place", "setting", "theme"):
                assert value == scene.theme
                assert value in schema["properties"][key].get("enum", [value])
                checked += 1
    assert checked > 30


def test_records_of_a_text_copy_it(records):
    found = 0
    for _, talk, question, _, answer in records:
        if not talk.pictures:
            assert all(str(value) in question for value in answer.values())
            found += 1
    assert 40 < found < 140


def test_references_are_true(scenes):
    kinds = set()
    for seed in range(300):
        scene = scenes[seed % len(scenes)]
        talk = reference(scene, random.Random(seed), FIRST_THEMES)
        assert 2 <= len(talk.turns) <= 5
        counts = {thing.name: thing.count for thing in scene.things}
        for turn in talk.turns:
            named = mentioned(turn.answer)
            if turn.answer.startswith(("Yes", "The ")) and " no " not in turn.answer:
                assert named <= counts.keys()
        first, second = talk.turns[:2]
        if re.search(r"\b(sure|certain|that right)\b", second.question, re.IGNORECASE):
            assert second.answer == first.answer
            kinds.add("sure")
        if re.search(r"\bfirst\b", second.question, re.IGNORECASE):
            leftmost = truths.left_to_right(scene)[0]
            assert mentioned(second.answer) <= {leftmost.name}
            kinds.add("first")
    assert kinds == {"sure", "first"}


def test_what_differs_is_all_that_one_has_alone(scenes):
    for seed in range(100):
        first, second = scenes[seed % len(scenes)], scenes[(seed + 1) % len(scenes)]
        answer = differs(first, second, random.Random(seed)).turns[0].answer
        only = re.search(r"Only the (first|second) has (.+)\.$", answer)
        if only:
            one, other = (first, second) if only[1] == "first" else (second, first)
            assert mentioned(only[2]) <= one.names - other.names


def test_other_languages_are_other_languages():
    rng = random.Random(0)
    trained = {foreign_question(rng) for _ in range(800)}
    held_out = {foreign_question(rng, held_out=True) for _ in range(200)}
    assert len(trained) > 200
    assert not trained & held_out
    english = re.compile(r"\b(the|there|what|how|is|are|picture)\b", re.IGNORECASE)
    assert not [one for one in trained | held_out if english.search(one)]
    assert NOT_ENGLISH.endswith("in English.")
