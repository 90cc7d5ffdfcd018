import pytest
from bundled_model.conversations.truths import caption
from bundled_model.exam.examinee import Examinee
from bundled_model.exam.judging import is_refusal, is_true
from bundled_model.exam.typed_exam import (
    SETS,
    marked,
    typed_questions,
    typed_scenes,
    typed_table,
)

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned


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


class Clerk(Examinee):
    """Says the first truth to the first half of the questions, nonsense to the rest."""

    def __init__(self):
        pass

    def see(self, pictures):
        return None

    def say(self, features, prompts, **options):
        name = next(n for n in SETS if typed_questions(n)[0].question == prompts[0].question)
        truths = [one.truths[0] for one in typed_questions(name)]
        return [*truths[:150], *["Hm."] * 150]


def test_answers_are_marked_by_what_they_say():
    hits = [hit for _, _, hit in marked(Clerk(), "test")]
    assert all(hits[:150])
    assert not any(hits[150:])
    lines = list(typed_table(Clerk()))
    assert lines[2].startswith("| all | 50.0 [")


def test_the_model_that_ships_answers(monkeypatch):
    monkeypatch.setattr(
        "bundled_model.exam.typed_exam.typed_questions",
        lambda name: typed_questions(name)[:2],
    )
    answers = marked(Examinee(WEIGHTS), "dev")
    assert all(isinstance(said, str) and said for _, said, _ in answers)
