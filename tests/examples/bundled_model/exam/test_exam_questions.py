import random

import pytest
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.wordings.phrasings import phrase_question
from bundled_model.exam.exam_questions import Mistyped, Reworded, papers
from bundled_model.exam.judging import is_refusal

from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.bundled.world.words import HELD_OUT_STRANGERS, THEMES, plural
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes

ALL = tuple(THEMES)


@pytest.fixture(scope="module")
def scenes():
    return held_out_scenes(12, themes=ALL, seed=6, files=[SPRITES])


@pytest.fixture(scope="module")
def all_papers(scenes):
    return {paper.name: paper for paper in papers(scenes, ALL)}


def test_every_paper_asks_and_knows_its_pictures(all_papers, scenes):
    assert len(all_papers) == 35
    for paper in all_papers.values():
        assert 1 <= len(paper.talks) <= len(scenes)
        for talk, scene, pictures in zip(paper.talks, paper.scenes, paper.pictures, strict=True):
            assert len(pictures) == talk.pictures
            assert scene in pictures or not pictures
            assert set(pictures) <= set(range(len(scenes)))


def test_the_same_seed_asks_the_same(all_papers, scenes):
    again = {paper.name: paper for paper in papers(scenes, ALL)}
    other = {paper.name: paper for paper in papers(scenes, ALL, seed=1)}
    assert again == all_papers
    assert other != all_papers


def test_truths_are_of_the_kind_that_the_row_names(all_papers):
    last = {name: [t.turns[-1].answer for t in paper.talks] for name, paper in all_papers.items()}
    assert all(map(is_refusal, last["what no picture tells: refused"]))
    assert all(text.startswith("[") for text in last["boxes: IoU at least 0.5"])
    assert all(
        text.startswith("There is no ") for text in last["where is what isn't there: noticed"]
    )
    assert not any(text.startswith("There is no ") for text in last["position, nine fields"])
    assert all(len(talk.turns) > 1 for talk in all_papers["follow-up turns"].talks)
    assert not any("nothing" in text for text in last["what is in both pictures"])


def test_two_pictures_are_of_one_theme_where_there_are_two(all_papers, scenes):
    shown = all_papers["two pictures"].pictures
    assert sorted(first for first, _ in shown) == list(range(len(scenes)))
    other = [two for two in shown if scenes[two[0]].theme != scenes[two[1]].theme]
    themes = {scene.theme for scene in scenes}
    assert len(other) <= len(themes) < len(shown)


def test_unseen_wordings_and_slips_are_none_of_the_trained_ones(scenes):
    rng = random.Random(0)
    slots = {"a": "a tractor", "c": "tractor", "p": "tractors"}
    trained = {phrase_question("exists", rng, **slots) for _ in range(3000)}
    plain = Interview(scenes[0], rng, ALL)
    assert plain.ask("exists", **slots) in trained
    for asker in (Reworded, Mistyped):
        one = asker(scenes[0], rng, ALL)
        assert all(one.ask("exists", **slots) not in trained for _ in range(40))


def test_a_question_of_short_words_gets_its_slip_in_another_wording(scenes):
    asker = Mistyped(scenes[0], random.Random(0), ALL)
    plain = Interview(scenes[0], random.Random(0), ALL)
    asked = {asker.ask("count", p="cups") for _ in range(200)}
    assert not asked & {plain.ask("count", p="cups") for _ in range(3000)}


def test_unseen_wordings_and_words_are_asked_in_no_trained_way(all_papers):
    for name in ("typos: is there?", "unseen wording: is there?"):
        ends = [talk.turns[-1].question for talk in all_papers[name].talks]
        assert not any("yes or no" in question.lower() for question in ends)
    for talk in all_papers["unseen word: what nobody drew"].talks:
        words = talk.turns[-1].question.lower()
        assert any(name in words or plural(name) in words for name in HELD_OUT_STRANGERS)


def test_who_is_asked_without_a_picture_is_still_one_draw_each(all_papers, scenes):
    paper = all_papers["a question without a picture: noticed"]
    assert set(paper.pictures) == {()}
    assert list(paper.scenes) == list(range(len(scenes)))
