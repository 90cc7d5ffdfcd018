from dataclasses import replace

import pytest
import torch
from bundled_model.exam.examinee import Examinee
from bundled_model.exam.retracing_controls import sight
from bundled_model.exam.trials import CONTROLS, Evidence
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes
from memvr_integrations.memvr import MemVRConfig

ALWAYS = MemVRConfig(starting_layer=3, ending_layer=5, entropy_threshold=0, retracing_ratio=0.8)
NEVER = MemVRConfig(starting_layer=3, ending_layer=5, entropy_threshold=5)


@pytest.fixture(scope="module")
def evidence():
    return Evidence(Examinee(WEIGHTS), FIRST_THEMES)


@pytest.fixture(scope="module")
def conditions(evidence):
    return [
        evidence.condition(
            name, held_out_scenes(size, themes=FIRST_THEMES, seed=size, files=[SPRITES])
        )
        for name, size in (("dev", 2), ("test", 3))
    ]


def rows(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in list(lines)[2:]]


def test_a_line_for_every_way_and_blindfold(evidence, conditions):
    found = rows(sight(evidence, *conditions, (None, 0), [NEVER]))
    ways = ["off", "MemVR", *CONTROLS]
    assert [row[:2] for row in found] == [
        [hidden, way] for hidden in ("none", "from layer 0") for way in ways
    ]
    # What never fires is off, whatever the control.
    assert len({tuple(row[2:3] + row[4:7]) for row in found[:5]}) == 1
    assert {row[3] for row in found if row[1] != "MemVR"} == {"+0.00 [+0.00, +0.00]"}
    seen, blind = (float(found[at][2].split(" ")[0]) for at in (0, 5))
    assert seen > 75 > blind
    assert float(found[5][4]) < 80  # the AUC of a blindfolded model


def test_the_setting_is_the_devs_best(evidence, conditions, monkeypatch):
    dev, test = conditions
    plain = evidence.ask

    def ask(condition, config, control=None):
        outcome = plain(condition, config, control)
        if condition is dev and config is NEVER:
            return replace(outcome, margins=torch.where(condition.truth, 1.0, -1.0))
        return replace(outcome, margins=-torch.ones(len(outcome.margins)))

    monkeypatch.setattr(evidence, "ask", ask)
    monkeypatch.setattr(evidence, "captions", lambda shown, *_: torch.ones(len(shown.scenes), 4))
    found = rows(sight(evidence, dev, test, (None,), [ALWAYS, NEVER]))
    assert found[1][7] == "3-5, 0.12"


def test_the_blindfold_is_taken_off(evidence, conditions):
    _, test = conditions
    before = evidence.ask(test, None).margins
    with evidence.examinee.blindfolded(0):
        hidden = evidence.ask(test, None).margins
    assert not torch.allclose(before, hidden, atol=1e-2)
    assert torch.equal(before, evidence.ask(test, None).margins)
