"""What is asked in the exam, and the truths that it judges by."""

import pytest
from bundled_model.conversations.truths import caption
from bundled_model.conversations.vocabulary import HELD_OUT_STRANGERS
from bundled_model.exam.exam_questions import exercises
from bundled_model.exam.judging import is_refusal, is_true
from bundled_model.exam.seen_wordings import is_seen_wording
from bundled_model.exam.typed_exam import (
    SETS,
    typed_questions,
    typed_scenes,
)

from memvr_integrations.bundled.world import SPRITES, THEMES, plural
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes, mentioned

ALL = tuple(THEMES)


@pytest.fixture(scope="module")
def scenes():
    return held_out_scenes(12, themes=ALL, seed=6, files=[SPRITES])


@pytest.fixture(scope="module")
def all_exercises(scenes):
    return {exercise.name: exercise for exercise in exercises(scenes, ALL)}


def test_every_exercise_asks_and_knows_its_pictures(all_exercises, scenes):
    assert len(all_exercises) == 35
    for exercise in all_exercises.values():
        assert 1 <= len(exercise.talks) <= len(scenes)
        asked = zip(exercise.talks, exercise.scenes, exercise.pictures, strict=True)
        for talk, scene, pictures in asked:
            assert len(pictures) == talk.pictures
            assert scene in pictures or not pictures
            assert set(pictures) <= set(range(len(scenes)))


def test_the_same_seed_asks_the_same(all_exercises, scenes):
    again = {exercise.name: exercise for exercise in exercises(scenes, ALL)}
    other = {exercise.name: exercise for exercise in exercises(scenes, ALL, seed=1)}
    assert again == all_exercises
    assert other != all_exercises


def test_truths_are_of_the_kind_that_the_row_names(all_exercises):
    last = {
        name: [talk.turns[-1].answer for talk in exercise.talks]
        for name, exercise in all_exercises.items()
    }
    assert all(map(is_refusal, last["what no picture tells: refused"]))
    assert all(text.startswith("[") for text in last["boxes: IoU at least 0.5"])
    assert all(
        text.startswith("There is no ") for text in last["where is what isn't there: noticed"]
    )
    assert not any(text.startswith("There is no ") for text in last["position, nine fields"])
    assert all(len(talk.turns) > 1 for talk in all_exercises["follow-up turns"].talks)
    assert not any("nothing" in text for text in last["what is in both pictures"])


def test_two_pictures_are_of_one_theme_where_there_are_two(all_exercises, scenes):
    shown = all_exercises["two pictures"].pictures
    assert sorted(first for first, _ in shown) == list(range(len(scenes)))
    other = [two for two in shown if scenes[two[0]].theme != scenes[two[1]].theme]
    themes = {scene.theme for scene in scenes}
    assert len(other) <= len(themes) < len(shown)


def test_unseen_wordings_and_words_are_asked_in_no_trained_way(all_exercises):
    for name in ("typos: is there?", "unseen wording: is there?"):
        ends = [talk.turns[-1].question for talk in all_exercises[name].talks]
        assert not any("yes or no" in question.lower() for question in ends)
    refused = all_exercises["unseen wording: what no picture tells"].talks
    assert not any(is_seen_wording(talk.turns[-1].question) for talk in refused)
    for talk in all_exercises["unseen word: what nobody drew"].talks:
        words = talk.turns[-1].question.lower()
        assert any(name in words or plural(name) in words for name in HELD_OUT_STRANGERS)


@pytest.mark.parametrize("name", SETS)
def test_truths_are_true_of_the_scenes(name):
    """Should the generator ever draw other scenes, the exam would be wrong."""
    scenes, asked = typed_scenes(name), typed_questions(name)
    assert len(asked) == 300
    captions = [one for one in asked if one.kind == "caption"]
    assert captions
    for one in captions:
        assert any(is_true(caption(scenes[one.scene]), truth) for truth in one.truths)
    for one in asked:
        if one.kind == "exists" and one.truths[0].startswith("Yes"):
            said = set().union(*map(mentioned, one.truths))
            assert not said or said & scenes[one.scene].names
        if one.kind == "unknowable":
            assert all(is_refusal(truth) for truth in one.truths)


def test_the_sets_share_no_scene_and_few_questions():
    dev, test = ({one.question.lower() for one in typed_questions(name)} for name in SETS)
    assert len(dev & test) < 30
