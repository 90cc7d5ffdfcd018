import json
import random
import re

import pytest
from bundled_model.conversations import truths
from bundled_model.conversations.interview import MIX, Interview
from bundled_model.conversations.questions import NO_IMAGE
from bundled_model.conversations.unknowable import REFUSAL

from memvr_integrations.bundled.world.scenes import SPRITES, Sprites, draw_scene
from memvr_integrations.bundled.world.words import CLASSES, THEMES, plural
from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned

ALL = tuple(THEMES)


@pytest.fixture(scope="module")
def drawn():
    rng, sprites = random.Random(3), Sprites(SPRITES)
    return [draw_scene(rng, sprites, ALL) for _ in range(40)]


def asked(drawn, kind):
    return [
        (scene, talk)
        for index, scene in enumerate(drawn)
        for talk in Interview(scene, random.Random(index), ALL).only(kind)
    ]


def test_wordings_of_one_question_agree(drawn):
    for index, scene in enumerate(drawn):
        talks = Interview(scene, random.Random(index), ALL).talks(20)
        groups = {}
        for talk in talks:
            if talk.same_as:
                groups.setdefault(talk.same_as, set()).add(talk.turns[0].answer[:2])
        assert groups
        assert all(len(said) == 1 for said in groups.values())


def test_yes_is_as_frequent_as_no(drawn):
    said = [talk.turns[0].answer for _ in range(5) for _, talk in asked(drawn, "exists")]
    yes = sum(answer.startswith("Yes") for answer in said)
    assert 0.3 < yes / len(said) < 0.7


def test_existence_is_true(drawn):
    for scene, talk in asked(drawn, "exists"):
        question = talk.turns[0].question.lower()
        named = {
            name
            for name in CLASSES
            if re.search(rf"\b({name}|{plural(name)})\b", question) and name not in ("orange",)
        }
        if len(named) == 1:
            assert talk.turns[0].answer.startswith("Yes") == bool(named & scene.names)


def test_boxes_are_hundredths(drawn):
    for _, talk in asked(drawn, "box"):
        if talk.turns[0].answer.startswith("There is no "):
            continue
        numbers = [int(number) for number in re.findall(r"\d+", talk.turns[0].answer)]
        assert len(numbers) % 4 == 0
        assert all(0 <= number <= 100 for number in numbers)
        assert numbers[0] < numbers[2]
        assert numbers[1] < numbers[3]


def test_json_tells_the_scene(drawn):
    for scene, talk in asked(drawn, "json"):
        told = json.loads(talk.turns[0].answer)
        assert told["scene"] == scene.theme
        assert {one["name"]: one["count"] for one in told["objects"]} == {
            thing.name: thing.count for thing in scene.things
        }


def test_what_no_picture_tells_is_refused_and_no_picture_is_noticed(drawn):
    assert {talk.turns[0].answer for _, talk in asked(drawn, "unknowable")} == {REFUSAL}
    blind = [talk for _, talk in asked(drawn, "blind")]
    assert {talk.turns[0].answer for talk in blind} == {NO_IMAGE}
    assert all(talk.pictures == 0 and talk.turns[0].blind for talk in blind)


def test_every_kind_has_something_to_ask(drawn):
    assert all(asked(drawn, kind) for kind in MIX)


def test_follow_ups_lean_on_the_first_turn(drawn):
    amounts = re.compile(r"There (?:is|are) (no|more than four|[a-z]+) ([a-z ]+)\.")
    kinds = set()
    for scene, talk in asked(drawn, "follow up"):
        assert len(talk.turns) > 1
        counts = {thing.name: thing.count for thing in scene.things}
        for turn in talk.turns:
            [name, *more] = mentioned(turn.answer) or [""]
            found = amounts.fullmatch(turn.answer)
            kinds.add(turn.answer.split()[0])
            if turn.answer.startswith(("Yes", "No,")):
                assert (name in counts) == turn.answer.startswith("Yes")
            elif found:
                number = "no" if name not in counts else truths.number(counts[name])
                assert found[1] == number
            elif turn.answer.startswith("The "):
                [subject] = mentioned(turn.answer.split()[1])  # "the cup is orange"
                thing = next(thing for thing in scene.things if thing.name == subject)
                told = truths.positions(thing), truths.coloring(scene, thing)
                assert turn.answer in told
            elif turn.answer.startswith("["):
                boxes = {truths.box_text(box) for thing in scene.things for box in thing.boxes}
                assert turn.answer in boxes
            else:
                assert {name, *more} < set(counts)
    assert {"Yes,", "No,", "There", "The"} < kinds
