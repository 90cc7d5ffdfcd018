import re

import pytest

from memvr_integrations.bundled import WEIGHTS, report
from memvr_integrations.bundled import evidence as module
from memvr_integrations.bundled.art import SPRITES
from memvr_integrations.bundled.evidence import CONTROLS, Evidence, comparison
from memvr_integrations.bundled.measure import Examinee, held_out_scenes
from memvr_integrations.bundled.report import write_page
from memvr_integrations.bundled.scenes import FIRST_THEMES
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
        for line in comparison(evidence, [condition], never)
    ][2:]
    assert [row[1] for row in rows] == ["off", "MemVR", *CONTROLS]
    assert len({tuple(row[3:4] + row[6:]) for row in rows}) == 1
    assert all(row[5] == "0 / 0" for row in rows[1:])


def test_the_page_has_every_part(evidence, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "_WINDOWS", ((1, 6),))
    monkeypatch.setattr(module, "_THRESHOLDS", (0.3,))
    monkeypatch.setattr(module, "_RATIOS", (0.6,))
    monkeypatch.setattr(report, "_DEGRADED", ("blur",))
    page = tmp_path / "evidence.md"
    sizes = report.Sizes(test=3, compared=2, dev=2)
    write_page(evidence, unseen=SPRITES, sizes=sizes, out=page)
    text = page.read_text()
    for part in ("unseen art", "another image", "damping", "CHAIR_i", "AUC", "dev split"):
        assert part in text
    assert "bundled.evidence --scenes 3 --compared 2 --dev 2\n" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert min(widths) >= 4
    assert re.search(r"SHA-256 of\s+the weights", text)
