"""Two pictures, and JSON in a schema: the answers are true."""

import json
import random
from dataclasses import replace

import jsonschema
import pytest
from bundled_model.conversations.corpus import undrawn
from bundled_model.conversations.forms import form
from bundled_model.conversations.pairs import compare, in_both
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world import CLASSES, NUMBERS, THEMES, plural
from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned
from memvr_integrations.types.tools import ANSWER_IN_JSON


def test_answers_about_two_pictures_are_true():
    rng = random.Random(0)
    kinds = set()
    for _ in range(600):
        first, second = undrawn(rng), undrawn(rng)
        talk = compare(first, second, rng, tuple(THEMES))
        assert talk.pictures == 2
        answer = talk.turns[0].answer
        for start, scenes, other in (
            ("The first picture has a", first, second),
            ("The second picture has a", second, first),
        ):
            if answer.startswith(start) and "more" not in answer:
                [name] = mentioned(answer)
                assert name in scenes.names
                assert name not in other.names
                kinds.add(start)
            if answer.startswith(start.removesuffix(" a") + " more"):
                name = answer.removesuffix(".").split("more ")[1]
                counts = [
                    sum(t.count for t in scene.things if plural(t.name) == name)
                    for scene in (scenes, other)
                ]
                assert counts[0] > counts[1]
                kinds.add("more")
        if answer.startswith("Both pictures have a"):
            name = answer.removesuffix(".").split("have ")[1].split(" ", 1)[1]
            assert name in first.names & second.names
            kinds.add("both")
    assert len(kinds) == 4


def test_what_is_in_both_is_all_that_they_share():
    rng = random.Random(0)
    said = set()
    for _ in range(200):
        first, second = undrawn(rng, ("farm",)), undrawn(rng, ("farm",))
        answer = in_both(first, second, rng).turns[0].answer
        shared = first.names & second.names
        listed, looked_for, found = answer.removesuffix(".").split(". ")
        assert mentioned(listed) == mentioned(looked_for) == first.names
        assert {
            name for name in first.names if f" {name}: no" in looked_for
        } == first.names - shared
        assert mentioned(found) == shared
        assert (found == "They share nothing") == (not shared)
        said.add(answer)
    assert len(said) > 20


def test_what_a_cake_may_show_is_asked_of_no_picture_of_a_cake():
    rng = random.Random(1)
    scene = undrawn(rng, ("kitchen",))
    thing = replace(scene.things[0], color=None)
    cake = replace(scene, things=(replace(thing, name="cake"),))
    names = ("strawberry", "apple")
    fruit = replace(scene, things=tuple(replace(thing, name=name) for name in names))
    asked = " ".join(
        talk.turns[0].question
        for talk in (compare(cake, fruit, rng, ("kitchen", "fruit stand")) for _ in range(600))
        if "more" in talk.turns[0].question or "which" in talk.turns[0].question.lower()
    )
    assert "apple" in asked
    assert "strawberr" not in asked


@pytest.fixture(scope="module")
def filled(scenes):
    """Many forms: the scene, the question, the schema and the answer."""
    made = []
    for seed in range(300):
        scene = scenes[seed % len(scenes)]
        turn = form(scene, random.Random(seed), FIRST_THEMES)
        question, _, schema = turn.question.partition(f" {ANSWER_IN_JSON} ")
        made.append((scene, question, json.loads(schema), json.loads(turn.answer)))
    return made


def test_answers_fit_their_schemas(filled):
    for _, _, schema, answer in filled:
        jsonschema.validate(answer, schema)
        assert list(answer) == list(schema["properties"])


def test_a_crowd_fits_its_schema(scenes):
    [thing, *_] = scenes[0].things
    crowd = replace(thing, centers=((0.5, 0.5),) * 7, boxes=((0.4, 0.4, 0.6, 0.6),) * 7)
    scene = replace(scenes[0], things=(crowd,))
    for seed in range(200):
        turn = form(scene, random.Random(seed), FIRST_THEMES)
        _, _, schema = turn.question.partition(f" {ANSWER_IN_JSON} ")
        jsonschema.validate(json.loads(turn.answer), json.loads(schema))


def test_answers_are_true(filled):
    checked = 0
    for scene, question, _, answer in filled:
        there = {thing.name: thing.count for thing in scene.things}
        if isinstance(answer.get("things"), list):
            assert set(answer["things"]) == set(there)
        for name in CLASSES:
            for key in (f"number_of_{plural(name)}", f"{name}_count"):
                if key in answer:
                    assert answer[key] == there.get(name, 0)
                    checked += 1
            if f"has_{name}" in answer:
                assert answer[f"has_{name}"] in (("yes", True) if name in there else ("no", False))
                checked += 1
        if question.startswith("How many") and isinstance(answer.get("answer"), int):
            asked = next(name for name in CLASSES if f" {plural(name)} " in f"{question} ")
            assert answer["answer"] == there.get(asked, 0)
            assert answer["answer"] < len(NUMBERS)
            checked += 1
    assert checked > 60
