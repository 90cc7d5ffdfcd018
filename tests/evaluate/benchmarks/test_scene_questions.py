from dataclasses import replace

import pytest
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.bundled.world.words import THEMES
from memvr_integrations.evaluate.benchmarks.scene_questions import exam, held_out_scenes, mentioned


@pytest.fixture(scope="module")
def some_scenes():
    return held_out_scenes(6, themes=FIRST_THEMES, seed=9, files=[SPRITES])


def test_the_exam_is_balanced_and_true(some_scenes):
    questions = exam(some_scenes, themes=FIRST_THEMES)
    assert {question.kind for question in questions} == {
        "positive",
        "random",
        "popular",
        "adversarial",
    }
    for question in questions:
        assert (question.name in some_scenes[question.scene].names) == question.truth
    kinds = [question.kind for question in questions]
    assert kinds.count("positive") == kinds.count("adversarial")


def test_adversarial_questions_ask_for_partners():
    scenes = held_out_scenes(60, themes=FIRST_THEMES, seed=3, files=[SPRITES])
    asked = [q for q in exam(scenes, themes=FIRST_THEMES) if q.kind == "adversarial"]
    with_fork = [q.name for q in asked if "fork" in scenes[q.scene].names]
    assert with_fork.count("knife") > len(with_fork) / 8


def test_words_are_heard_in_singular_and_plural():
    assert mentioned("An orange cup, an orange and a red orange.") == {"cup", "orange"}
    assert mentioned("Orange, apple and three orange loaves.") == {"orange", "apple", "bread"}
    assert mentioned("Two knives, three loaves of bread and a cow.") == {"knife", "bread", "cow"}
    assert mentioned("An orange, cups. It is orange: a dog.") == {"orange", "cup", "dog"}
    assert mentioned("Orange loaves of bread") == {"bread"}


def test_what_a_cake_is_drawn_with_is_not_asked_about(some_scenes):
    thing = replace(some_scenes[0].things[0], name="cake")
    scenes = [replace(some_scenes[0], things=(thing,))] * 300
    asked = {question.name for question in exam(scenes, themes=tuple(THEMES))}
    assert "strawberry" not in asked
    assert {"cake", "apple", "cookie"} <= asked
