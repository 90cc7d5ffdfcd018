import random
import re

import numpy as np
import pytest
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.questions import NO_IMAGE, absent, ask, caption, exists, where
from memvr_integrations.bundled.scenes import Scene, Thing
from memvr_integrations.bundled.words import NUMBERS, classes_of, plural

EMPTY = np.zeros(0, np.uint8)


def scene(*things, theme="kitchen"):
    return Scene(theme=theme, things=things, pixels=EMPTY, patches=EMPTY)


CUPS = Thing(name="cup", color="red", centers=((0.1, 0.1), (0.2, 0.5), (0.9, 0.9)))
FORK = Thing(name="fork", color=None, centers=((0.7, 0.5),))


@pytest.mark.parametrize(
    ("center", "words"),
    [
        ((0.1, 0.9), "at the bottom left"),
        ((0.5, 0.1), "at the top"),
        ((0.9, 0.5), "on the right"),
        ((0.5, 0.5), "in the center"),
    ],
)
def test_places_in_words(center, words):
    assert where(center) == words


def test_a_caption_names_everything_left_to_right():
    assert caption(scene(FORK, CUPS)) == "A kitchen scene with three red cups and a fork."


def test_short_questions_get_one_word():
    turn = exists("cup", True, random.Random(0), short=True)
    assert turn.question.endswith("Answer yes or no.")
    assert turn.answer == "Yes"


def test_what_is_asked_as_absent_is_absent():
    rng = random.Random(0)
    shown = scene(CUPS, FORK)
    asked = {absent(shown, rng, FIRST_THEMES) for _ in range(300)}
    assert not asked & shown.names
    assert {"spoon", "knife"} <= asked  # the partners, which tempt most
    assert any(name not in ("spoon", "knife") for name in asked)


def truth(shown, turn):
    """Check one answer against the scene, by its own words."""
    question, answer = turn.question.lower(), turn.answer.lower()
    names = [n for n in classes_of(FIRST_THEMES) if re.search(rf"\b({n}|{plural(n)})\b", question)]
    there = {thing.name: thing for thing in shown.things}
    if turn.blind:
        assert turn.answer == NO_IMAGE
    elif answer in ("yes", "no") or answer.startswith(("yes, there", "no, there")):
        assert answer.startswith("yes") == (names[0] in there)
    elif question.startswith(("how many", "count")):
        count = there[names[0]].count if names[0] in there else None
        assert (f" {NUMBERS[count]} " if count else "there are no ") in answer
    elif question.startswith(("is the", "are the")):
        assert answer.startswith("yes") == (there[names[0]].color in question)
    elif question.startswith("what color"):
        assert there[names[0]].color in answer


def test_every_answer_is_true():
    rng = random.Random(3)
    shown = scene(CUPS, FORK, Thing(name="plate", color="blue", centers=((0.4, 0.4),)))
    turns = [turn for _ in range(60) for turn in ask(shown, rng, 10, FIRST_THEMES)]
    for turn in turns:
        truth(shown, turn)
    starts = {turn.answer.split()[0] for turn in turns}
    assert {"Yes", "No", "There", "I", "A"} <= starts
