import pytest
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.art import SPRITES
from memvr_integrations.bundled.crew import Crew
from memvr_integrations.bundled.examinee import Examinee
from memvr_integrations.bundled.measure import held_out_scenes
from memvr_integrations.bundled.trials import CONTROLS, Evidence, comparison
from memvr_integrations.memvr import MemVRConfig

ALWAYS = MemVRConfig(starting_layer=1, ending_layer=8, entropy_threshold=0, retracing_ratio=0.9)


@pytest.fixture(scope="module")
def evidence():
    return Evidence(Examinee(WEIGHTS), FIRST_THEMES)


@pytest.fixture(scope="module")
def condition(evidence):
    scenes = held_out_scenes(8, themes=FIRST_THEMES, seed=4, files=[SPRITES])
    return evidence.condition("clean", scenes)


def test_controls_do_different_things(evidence, condition):
    margins = [evidence.ask(condition, ALWAYS, control).margins for control in (None, *CONTROLS)]
    distinct = {tuple(one.tolist()) for one in margins}
    assert len(distinct) == len(margins)


def test_the_same_theme_control_shows_another_scene_of_that_theme(condition):
    moved = condition.same_theme()
    themes = [scene.theme for scene in condition.scenes]
    for index, theme in enumerate(themes):
        if themes.count(theme) > 1:
            source = next(
                i for i in range(len(themes)) if moved[index].equal(condition.features[i])
            )
            assert source != index
            assert themes[source] == theme


def test_a_setting_that_never_fires_changes_nothing(evidence, condition):
    never = MemVRConfig(starting_layer=1, ending_layer=8, entropy_threshold=5)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in comparison(Crew(), evidence, [condition], never)
    ][2:]
    assert [row[1] for row in rows] == ["off", "MemVR", *CONTROLS]
    assert len({tuple(row[3:4] + row[6:]) for row in rows}) == 1
    assert all(row[5] == "0 / 0" for row in rows[1:])
