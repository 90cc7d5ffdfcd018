"""Places and ways: what is asked about them is answered by where things are."""

import random
import re

import pytest
from bundled_model.conversations import truths
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.questions import where

from memvr_integrations.bundled.world import SPRITES, THEMES
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes, mentioned

ALL = tuple(THEMES)


@pytest.fixture(scope="module")
def drawn():
    return held_out_scenes(80, themes=ALL, seed=15, files=[SPRITES])


def asked(drawn, kind):
    return [
        (scene, talk.turns[0])
        for index, scene in enumerate(4 * drawn)
        for talk in Interview(scene, random.Random(index), ALL).only(kind)
    ]


def the_one(scene, text):
    """The single thing that a text names first."""
    names = sorted(mentioned(text) & scene.names, key=text.find)
    return next((t for t in scene.things if t.name == names[0] and t.count == 1), None)


def field_in(question):
    """The field that a question asks for, by whichever of its names."""
    said = question.replace("upper", "top").replace("lower", "bottom")
    said = re.sub(r"middle|centre", "center", said)
    places = ("top", "bottom", "left", "right", "center")
    words = [word for word in places if re.search(rf"\b{word}\b", said)]
    return next(f for f in truths.FIELDS if [w for w in f.split() if w in places] == words)


def test_at_the_top_is_true_of_its_corners(drawn):
    coarse = 0
    for scene, turn in asked(drawn, "is where"):
        thing = the_one(scene, turn.answer.lower())
        field = where(thing.centers[0])
        asked_for = field_in(turn.question)
        assert turn.answer.startswith("Yes") == truths.lies_in(field, asked_for)
        assert turn.answer.endswith(f" {field}.")
        coarse += turn.answer.startswith("Yes") and field != asked_for
    assert coarse


def test_halves_follow_from_the_center(drawn):
    for scene, turn in asked(drawn, "is half"):
        x, y = the_one(scene, turn.answer.lower()).centers[0]
        halves = {"upper": y < 0.5, "lower": y > 0.5, "left": x < 0.5, "right": x > 0.5}
        half = next(name for name in halves if name in turn.question.split())
        assert turn.answer.startswith("Yes" if halves[half] else "No")


def test_what_is_in_a_field_is_there(drawn):
    for scene, turn in asked(drawn, "what is where"):
        field = field_in(turn.question)
        there = {
            thing.name
            for thing in scene.things
            if any(truths.lies_in(where(center), field) for center in thing.centers)
        }
        assert mentioned(turn.answer) == there
        assert (turn.answer == "Nothing.") == (not there)


def test_what_is_beside_is_another_thing(drawn):
    for scene, turn in asked(drawn, "what is related"):
        assert mentioned(turn.answer) <= scene.names
        assert not mentioned(turn.answer) & mentioned(turn.question.split("?")[0])


def test_groups_are_related_only_where_all_their_pieces_are(drawn):
    several = 0
    for scene, turn in asked(drawn, "related"):
        found = re.match(
            r"(Yes|No), the ([\w ]+) are (.+ of|above|below) the ([\w ]+)\.$", turn.answer
        )
        if not found:
            continue
        several += 1
        one, other = (
            next(t for t in scene.things if t.name in mentioned(name))
            for name in (found[2], found[4])
        )
        axis = 0 if found[3].endswith("of") else 1
        mine, its = ([center[axis] for center in thing.centers] for thing in (one, other))
        if found[3] in ("left of", "above"):
            assert max(mine) < min(its)
        else:
            assert min(mine) > max(its)
    assert several
