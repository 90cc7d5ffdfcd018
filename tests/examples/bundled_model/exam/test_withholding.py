import pytest
import torch
from bundled_model.exam.examinee import Examinee, about
from bundled_model.exam.trials import Evidence
from bundled_model.exam.withholding import Answers, best_threshold, withheld
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes
from memvr_integrations.types import Request, SamplingParams


class Made(Answers):
    def __init__(self, doubt, right):
        self.name, self.doubt = "made", torch.tensor(doubt)
        self.right = torch.tensor(right)
        self.owners, self.images = list(range(len(doubt))), len(doubt)


MADE = Made([0.05, 0.1, 0.15, 0.4, 0.6, 0.7], [True, True, True, False, True, False])


def test_the_threshold_parts_wrong_from_right():
    assert 0.15 <= best_threshold([MADE]) < 0.4


def test_the_table_counts():
    *_, row = withheld([MADE], 0.2)
    cells = [cell.strip().split(" ")[0] for cell in row.strip("|").split("|")]
    assert cells == ["made", "66.7", "50.0", "100.0", "100.0", "25.0", "87.5"]


@pytest.fixture(scope="module")
def answers():
    evidence = Evidence(Examinee(WEIGHTS), FIRST_THEMES)
    scenes = held_out_scenes(6, themes=FIRST_THEMES, seed=4, files=[SPRITES])
    return Answers(evidence, evidence.condition("clean", scenes))


def test_every_answer_has_its_doubt(answers):
    assert len(answers.doubt) == len(answers.right) == len(answers.owners)
    assert (answers.doubt >= 0).all()
    assert (answers.doubt <= 1).all()
    assert 0 < answers.right.double().mean() <= 1


def test_doubt_is_what_an_answer_calls_its_unsureness(backend):
    """One definition, in two places that may not import each other."""
    scenes = held_out_scenes(2, themes=FIRST_THEMES, seed=4, files=[SPRITES])
    examinee = Examinee(WEIGHTS)
    question = "How many things are there?"
    said, doubt = examinee.say_and_doubt(
        examinee.see([scene.pixels for scene in scenes]), [about(0, question), about(1, question)]
    )
    sampling = SamplingParams(max_tokens=24)
    for scene, text, found in zip(scenes, said, doubt, strict=True):
        request = Request.ask(question, scene.pixels, memvr=None, sampling=sampling)
        [done] = backend.generate(request)
        assert done.text == text
        assert done.unsureness == pytest.approx(float(found), abs=1e-4)
