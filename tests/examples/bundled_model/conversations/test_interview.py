"""Every answer that training and exams call true is true of the scene."""

import json
import random
import re

import pytest
from bundled_model.conversations import truths
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.questions import NO_IMAGE
from bundled_model.conversations.unknowable import NO_SUCH, NONE, REFUSAL
from bundled_model.conversations.vocabulary import GROUPS

from memvr_integrations.bundled.world import (
    CLASSES,
    SPRITES,
    THEMES,
    Scene,
    Sprites,
    Thing,
    draw_scene,
    plural,
)
from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned

ALL = tuple(THEMES)


@pytest.fixture(scope="module")
def drawn():
    rng, sprites = random.Random(3), Sprites(SPRITES)
    return [draw_scene(rng, sprites, ALL) for _ in range(80)]


def asked(drawn, kind):
    return [
        (scene, talk)
        for index, scene in enumerate(drawn)
        for talk in Interview(scene, random.Random(index), ALL).only(kind)
    ]


def first_turns(drawn, kind):
    return [(scene, talk.turns[0]) for scene, talk in asked(drawn, kind)]


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


def test_json_has_the_scene(drawn):
    for scene, talk in asked(drawn, "json"):
        written = json.loads(talk.turns[0].answer)
        assert written["scene"] == scene.theme
        assert {one["name"]: one["count"] for one in written["objects"]} == {
            thing.name: thing.count for thing in scene.things
        }


def test_what_no_picture_answers_is_refused_and_no_picture_is_noticed(drawn):
    assert {talk.turns[0].answer for _, talk in asked(drawn, "unknowable")} == {REFUSAL}
    blind = [talk for _, talk in asked(drawn, "blind")]
    assert {talk.turns[0].answer for talk in blind} == {NO_IMAGE}
    assert all(talk.pictures == 0 and talk.turns[0].blind for talk in blind)


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
                possible = truths.positions(thing), truths.coloring(scene, thing)
                assert turn.answer in possible
            elif turn.answer.startswith("["):
                boxes = {truths.box_text(box) for thing in scene.things for box in thing.boxes}
                assert turn.answer in boxes
            else:
                assert {name, *more} < set(counts)
    assert {"Yes,", "No,", "There", "The"} < kinds


def scene(*counts):
    things = tuple(
        Thing(name=name, color=None, centers=((0.5, 0.5),) * count)
        for name, count in zip(("cow", "pig", "sheep"), counts, strict=False)
    )
    return Scene(theme="farm", things=things, pixels=None, patches=None)


def turns(shown, kind):
    return {
        talk.turns[0].question.lower(): talk.turns[0].answer
        for seed in range(200)
        for talk in Interview(shown, random.Random(seed), tuple(THEMES)).only(kind)
    }


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("are there at least two cows?", {1: "No", 2: "Yes", 3: "Yes", 6: "Yes"}),
        ("are there more than two cows?", {1: "No", 2: "No", 3: "Yes", 6: "Yes"}),
        ("is there more than one cow?", {1: "No", 2: "Yes", 6: "Yes"}),
        ("is there only one cow?", {1: "Yes", 2: "No", 6: "No"}),
    ],
)
def test_counts_are_compared(question, answers):
    for count, yes in answers.items():
        said = turns(scene(count), "compare count")[question]
        amount = {
            1: "is one cow",
            2: "are two cows",
            3: "are three cows",
            6: "are more than four cows",
        }
        assert said == f"{yes}, there {amount[count]}."


def test_what_there_is_most_of_is_said_only_where_it_is_clear():
    assert set(turns(scene(1, 3, 2), "most").values()) == {"There are three pigs."}
    assert not turns(scene(1, 1), "most")
    assert not turns(scene(3, 3, 1), "most")


def test_a_group_is_answered_by_its_members(drawn):
    for scene, turn in first_turns(drawn, "group"):
        question = turn.question.lower()
        group = "food" if "eat" in question else next(name for name in GROUPS if name in question)
        there = GROUPS[group][0] & scene.names
        assert not GROUPS[group][1] & scene.names
        if turn.answer.startswith("There are ") and "how many" in question:
            continue
        if turn.answer in ("Yes", "No"):
            assert (turn.answer == "Yes") == bool(there)
        elif not re.search("how many|count", question):
            assert mentioned(turn.answer) == there


def test_strangers_are_never_there(drawn):
    said = {turn.answer for _, turn in first_turns(drawn, "stranger")}
    assert said <= {"No", f"No, {NO_SUCH}", NO_SUCH, NONE}
    assert len(said) == 4
    for scene, turn in first_turns(drawn, "stranger"):
        assert not ("house" in scene.names and "door" in turn.question.lower())


def test_both_and_either(drawn):
    for scene, turn in first_turns(drawn, "two"):
        names = mentioned(turn.question)
        if len(names) < 2:
            continue
        there = names & scene.names
        yes = bool(there) if " or " in turn.question.split("?")[0] else there == names
        assert turn.answer.startswith("Yes" if yes else "No")
        if len(turn.answer) > 3:
            assert mentioned(turn.answer) == (there if yes else names - there)


def test_besides_leaves_out_one(drawn):
    for scene, turn in first_turns(drawn, "besides"):
        others = set(scene.names) - mentioned(turn.question)
        assert mentioned(turn.answer) == others
