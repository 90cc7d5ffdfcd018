from dataclasses import replace

import pytest
import torch
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.bundled.world.words import THEMES
from memvr_integrations.evaluate.benchmarks.scene_questions import (
    Attribute,
    attributes,
    auc,
    caption_counts,
    exam,
    held_out_scenes,
    is_right,
    mentioned,
)


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


def test_auc_is_a_rank():
    truth = torch.tensor([True, True, False, False])
    assert auc(torch.tensor([4.0, 3, 2, 1]), truth) == 1
    assert auc(torch.tensor([1.0, 2, 3, 4]), truth) == 0
    assert auc(torch.tensor([1.0, 1, 1, 1]), truth) == 0.5
    assert auc(torch.tensor([4.0, 2, 3, 1]), truth) == 0.75


def test_words_are_heard_in_singular_and_plural():
    assert mentioned("An orange cup, an orange and a red orange.") == {"cup", "orange"}
    assert mentioned("Orange, apple and three orange loaves.") == {"orange", "apple", "bread"}
    assert mentioned("Two knives, three loaves of bread and a cow.") == {"knife", "bread", "cow"}


def test_captions_are_counted(some_scenes):
    names = sorted(some_scenes[0].names)
    theme = some_scenes[0].theme
    wrong = next(n for n in ("cow", "fork", "duck") if n not in names)
    counts = caption_counts(some_scenes[:1], [f"A {theme} scene with a {names[0]} and a {wrong}."])
    assert counts.tolist() == [[2, 1, len(names), 1]]


def test_an_answer_with_two_numbers_is_wrong():
    asked = Attribute(scene=0, question="How many cups are there?", right="two", kind="count")
    assert is_right(asked, "There are two cups.")
    assert not is_right(asked, "There are two or three cups.")
    assert not is_right(asked, "There are cups.")
    four = replace(asked, right="four")
    assert is_right(four, "There are four cups.")
    assert not is_right(four, "There are more than four cups.")


def test_what_a_cake_is_drawn_with_is_not_asked_about(some_scenes):
    thing = replace(some_scenes[0].things[0], name="cake")
    scenes = [replace(some_scenes[0], things=(thing,))] * 300
    asked = {question.name for question in exam(scenes, themes=tuple(THEMES))}
    assert "strawberry" not in asked
    assert {"cake", "apple", "cookie"} <= asked


def test_attributes_ask_what_has_one_answer(some_scenes):
    for asked in attributes(some_scenes):
        if asked.kind == "color":
            colors = {thing.color for thing in some_scenes[asked.scene].things}
            assert asked.right in colors
