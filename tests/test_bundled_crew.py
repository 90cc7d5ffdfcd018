import pickle

import pytest
from bundled_settings import ALWAYS, FIRST_THEMES

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.art import SPRITES
from memvr_integrations.bundled.crew import Crew
from memvr_integrations.bundled.examinee import Examinee
from memvr_integrations.bundled.measure import held_out_scenes
from memvr_integrations.bundled.trials import Evidence, comparison


def test_processes_find_what_one_finds():
    evidence = Evidence(Examinee(WEIGHTS), FIRST_THEMES)
    scenes = held_out_scenes(4, themes=FIRST_THEMES, seed=4, files=[SPRITES])
    conditions = [evidence.condition("first", scenes[:2]), evidence.condition("rest", scenes[2:])]
    alone = list(comparison(Crew(), evidence, conditions, ALWAYS))
    with Crew(2) as crew:
        assert list(comparison(crew, evidence, conditions, ALWAYS)) == alone


def test_a_blindfold_is_not_lost_on_the_way():
    examinee = Examinee(WEIGHTS)
    with examinee.blindfolded(0), pytest.raises(ValueError, match="blindfolded"):
        pickle.dumps(examinee)
    assert isinstance(pickle.loads(pickle.dumps(examinee)), Examinee)
