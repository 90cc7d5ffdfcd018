import pickle
from functools import partial

import pytest
from bundled_model.exam.examinee import Examinee
from bundled_model.exam.processes import Crew
from bundled_model.exam.trials import Evidence
from bundled_settings import ALWAYS, FIRST_THEMES

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes


def test_processes_find_what_one_finds():
    evidence = Evidence(Examinee(WEIGHTS), FIRST_THEMES)
    scenes = held_out_scenes(4, themes=FIRST_THEMES, seed=4, files=[SPRITES])
    conditions = [evidence.condition("first", scenes[:2]), evidence.condition("rest", scenes[2:])]
    work = partial(evidence.ask, config=ALWAYS)
    alone = [outcome.margins.tolist() for outcome in Crew().map(work, conditions)]
    assert alone[0] != alone[1]
    with Crew(2) as crew:
        assert [outcome.margins.tolist() for outcome in crew.map(work, conditions)] == alone


def test_a_blindfold_is_not_lost_on_the_way():
    examinee = Examinee(WEIGHTS)
    with examinee.blindfolded(0), pytest.raises(ValueError, match="blindfolded"):
        pickle.dumps(examinee)
    assert isinstance(pickle.loads(pickle.dumps(examinee)), Examinee)
