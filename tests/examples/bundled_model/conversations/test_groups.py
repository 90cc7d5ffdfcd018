import random
import re

import pytest
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.unknowable import NO_SUCH, NONE

from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.bundled.world.words import (
    CLASSES,
    GROUPS,
    HELD_OUT_STRANGERS,
    STRANGERS,
    THEMES,
    plural,
)
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes, mentioned

ALL = tuple(THEMES)


@pytest.fixture(scope="module")
def drawn():
    return held_out_scenes(80, themes=ALL, seed=14, files=[SPRITES])


def asked(drawn, kind):
    return [
        (scene, talk.turns[0])
        for index, scene in enumerate(drawn)
        for talk in Interview(scene, random.Random(index), ALL).only(kind)
    ]


def test_no_stranger_is_a_class_and_none_is_held_out_and_trained_on():
    named = set(CLASSES) | {plural(name) for name in CLASSES}
    assert not named & set(STRANGERS + HELD_OUT_STRANGERS)
    assert not set(STRANGERS) & set(HELD_OUT_STRANGERS)


def test_groups_hold_classes_and_leave_out_what_is_unclear():
    for members, unclear in GROUPS.values():
        assert members | unclear <= set(CLASSES)
        assert not members & unclear


def test_a_group_is_told_by_its_members(drawn):
    for scene, turn in asked(drawn, "group"):
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
    said = {turn.answer for _, turn in asked(drawn, "stranger")}
    assert said <= {"No", f"No, {NO_SUCH}", NO_SUCH, NONE}
    assert len(said) == 4
    for scene, turn in asked(drawn, "stranger"):
        assert not ("house" in scene.names and "door" in turn.question.lower())


def test_both_and_either(drawn):
    for scene, turn in asked(drawn, "two"):
        names = mentioned(turn.question)
        if len(names) < 2:
            continue
        there = names & scene.names
        yes = bool(there) if " or " in turn.question.split("?")[0] else there == names
        assert turn.answer.startswith("Yes" if yes else "No")
        if len(turn.answer) > 3:
            assert mentioned(turn.answer) == (there if yes else names - there)


def test_besides_leaves_out_one(drawn):
    for scene, turn in asked(drawn, "besides"):
        others = set(scene.names) - mentioned(turn.question)
        assert mentioned(turn.answer) == others
