import json
import random
from dataclasses import replace

import jsonschema
import pytest
from bundled_model.conversations.forms import form
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world.words import CLASSES, NUMBERS, plural
from memvr_integrations.types.tools import ANSWER_IN_JSON


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


def test_both_answers_are_common(filled):
    values = [value for *_, answer in filled for value in answer.values()]
    truths = [value for value in values if isinstance(value, bool)]
    assert 0.2 < sum(truths) / len(truths) < 0.8
