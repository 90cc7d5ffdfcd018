"""Marks for answers about scenes."""

from dataclasses import replace

import pytest
import torch
from bundled_model.exam.scene_marks import Attribute, attributes, auc, caption_counts, is_right
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world import SPRITES
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes


@pytest.fixture(scope="module")
def some_scenes():
    return held_out_scenes(6, themes=FIRST_THEMES, seed=9, files=[SPRITES])


def test_auc_is_a_rank():
    truth = torch.tensor([True, True, False, False])
    assert auc(torch.tensor([4.0, 3, 2, 1]), truth) == 1
    assert auc(torch.tensor([1.0, 2, 3, 4]), truth) == 0
    assert auc(torch.tensor([1.0, 1, 1, 1]), truth) == 0.5
    assert auc(torch.tensor([4.0, 2, 3, 1]), truth) == 0.75


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


def test_attributes_ask_what_has_one_answer(some_scenes):
    for asked in attributes(some_scenes):
        if asked.kind == "color":
            colors = {thing.color for thing in some_scenes[asked.scene].things}
            assert asked.right in colors
