from dataclasses import replace

import pytest
from bundled_model.exam import trials
from bundled_model.exam.examinee import Examinee
from bundled_model.exam.processes import Crew
from bundled_model.exam.trials import CONTROLS, Evidence, Sweep, comparison
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.errors import RequestError
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes
from memvr_integrations.evaluate.running.statistics import share
from memvr_integrations.memvr import MemVRConfig

ALWAYS = MemVRConfig(starting_layer=1, ending_layer=8, entropy_threshold=0, retracing_ratio=0.9)


@pytest.fixture(scope="module")
def evidence():
    return Evidence(Examinee(WEIGHTS), FIRST_THEMES)


@pytest.fixture(scope="module")
def condition(evidence):
    scenes = held_out_scenes(5, themes=FIRST_THEMES, seed=4, files=[SPRITES])
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


def test_a_scene_alone_in_its_theme_is_shown_any_other(condition):
    themes = [f"theme {index}" for index in range(len(condition.scenes))]
    scenes = [replace(scene, theme=t) for scene, t in zip(condition.scenes, themes, strict=True)]
    moved = replace(condition, scenes=scenes).same_theme()
    assert not any(one.equal(own) for one, own in zip(moved, condition.features, strict=True))
    single = replace(condition, scenes=scenes[:1], features=condition.features[:1])
    with pytest.raises(RequestError, match="take two"):
        single.other_image()


def test_the_verdict_is_about_every_setting():
    never = replace(ALWAYS, entropy_threshold=5)
    said = [
        Sweep(lines=[], strongest=ALWAYS, beyond_chance=beyond).verdict
        for beyond in ([ALWAYS, never], [never], [])
    ]
    assert said[0].startswith("The strongest setting's joint gain is beyond chance")
    assert said[1].endswith("not beyond chance, but others' are: 1 of them.")
    assert said[2].startswith("No setting")


def test_two_views_of_one_scene_are_one_draw(evidence, condition, monkeypatch):
    def share_of(conditions):
        told = []
        monkeypatch.setattr(trials, "share", lambda *sums: told.append(sums) or share(*sums))
        trials.sweep(Crew(), evidence, conditions)
        return told[len(conditions)]

    monkeypatch.setattr(trials, "_WINDOWS", ((1, 6),))
    monkeypatch.setattr(trials, "_THRESHOLDS", (0.3,))
    monkeypatch.setattr(trials, "_RATIOS", (0.6,))
    once, twice = share_of([condition]), share_of([condition, condition])
    assert [2 * one.tolist()[0] for one in once] == [one.tolist()[0] for one in twice]
    assert len(twice[0]) == len(condition.scenes)


def test_a_setting_that_never_fires_changes_nothing(evidence, condition):
    never = MemVRConfig(starting_layer=1, ending_layer=8, entropy_threshold=5)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in comparison(Crew(), evidence, [condition], never)
    ][2:]
    assert [row[1] for row in rows] == ["off", "MemVR", *CONTROLS]
    assert len({tuple(row[3:4] + row[6:]) for row in rows}) == 1
    assert all(row[5] == "0 / 0" for row in rows[1:])
