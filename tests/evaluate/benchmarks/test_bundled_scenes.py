import numpy as np
import pytest
from bundled_model.conversations.truths import caption

from memvr_integrations.bundled.world.words import THEMES
from memvr_integrations.evaluate.benchmarks.bundled_scenes import load_scenes
from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned
from memvr_integrations.evaluate.benchmarks.scoring.yes_no import PARSERS
from memvr_integrations.evaluate.running.statistics import total


@pytest.fixture(scope="module")
def scenes():
    return load_scenes(count=6)


def truths(scenes, *, captions):
    answers = {name: "Yes" if truth else "No" for name, truth in scenes.truths.items()}
    if captions:
        answers |= {f"{group}/caption": caption(scene) for group, scene in scenes.scenes.items()}
    return answers


def test_the_truth_is_perfect_by_every_parser(scenes):
    figures = scenes.figures(total(scenes.marks(truths(scenes, captions=True))))
    for split in ("random", "popular", "adversarial"):
        for parser in PARSERS:
            assert figures[f"{split}/{parser}/accuracy"] == 100
            assert figures[f"{split}/{parser}/yes ratio"] == 50  # as many there as not
    assert figures["captions/CHAIR_S"] == figures["captions/CHAIR_I"] == 0
    assert figures["captions/recall"] == 100
    assert set(scenes.right(truths(scenes, captions=False)).values()) == {True}


def test_wrong_answers_count_where_they_belong(scenes):
    answers = truths(scenes, captions=False)
    wrong = next(name for name, splits in scenes.splits.items() if splits == ("popular",))
    answers[wrong] = "Yes"
    figures = scenes.figures(total(scenes.marks(answers)))
    assert figures["popular/official/precision"] < 100
    assert figures["random/official/precision"] == 100
    assert scenes.right(answers)[wrong] is False
    missed = next(name for name, truth in scenes.truths.items() if truth)
    figures = scenes.figures(total(scenes.marks(answers | {missed: "No"})))
    assert all(figures[f"{split}/official/recall"] < 100 for split in ("random", "adversarial"))


def test_a_caption_by_hand(scenes):
    scene = scenes.scenes["0"]
    name = min(scene.names)
    absent = "rocket" if "rocket" not in scene.names else "whale"
    text = f"A {scene.theme} scene with a {name}, a {name} and a {absent}."
    counts = scenes.marks({"0/caption": text})["0"]
    assert (counts["mentions"], counts["wrong mentions"], counts["named"]) == (2, 1, 1)
    assert counts["there"] == len(scene.names)
    assert counts["words"] == len(text.split())


def test_no_theme_is_named_like_a_class():
    """Else "a farm scene" would name a thing."""
    assert not mentioned(" ".join(THEMES))


def test_a_seed_is_a_set_of_scenes(scenes):
    again, other = load_scenes(count=6), load_scenes(count=6, seed=32)
    assert [question.id for question in again.questions] == [q.id for q in scenes.questions]
    pairs = zip(again.questions, scenes.questions, strict=True)
    assert all(np.array_equal(one.images[0], two.images[0]) for one, two in pairs)
    assert [question.id for question in other.questions] != [q.id for q in scenes.questions]
