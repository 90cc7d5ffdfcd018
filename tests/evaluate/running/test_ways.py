"""Ways of decoding by name."""

import json

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.running.ways import NAMES, seeds_for, strategies
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types.decoding import ContrastiveConfig, DoLaConfig, VCDConfig

PRESET = MemVRConfig(retracing_ratio=0.2)


def test_plain_comes_first_and_controls_start_from_the_preset():
    plain, damping, memvr = strategies(["damping", "memvr"], PRESET)
    assert (plain.name, plain.memvr) == ("plain", None)
    assert (memvr.name, memvr.memvr) == ("memvr", PRESET)
    assert damping.memvr.control == "damping"
    assert damping.memvr.retracing_ratio == 0.2
    every = strategies(NAMES, PRESET, student="small")
    assert [way.name for way in every] == list(NAMES)


def test_strategies_stand_alone_or_go_along_with_memvr():
    _, vcd, both, control = strategies(["vcd", "memvr+vcd", "dola-plausibility"], PRESET)
    assert (vcd.memvr, vcd.decoding) == (None, VCDConfig())
    assert (both.memvr, both.decoding) == (PRESET, VCDConfig())
    assert control.decoding == DoLaConfig(control="plausibility")
    json.dumps([way.to_dict() for way in (vcd, both, control)])
    request = both.request(Question(id="a", text="A dog?", images=(), group="a"), 3)
    assert (request.memvr, request.decoding, request.sampling.seed) == (PRESET, VCDConfig(), 3)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["memvvr"], "Did you mean 'memvr'"),
        (["memvr", "memvr"], "comes twice"),
        (["memvr+damping"], "can't be joined"),
        (["vcd+icd"], "can't be joined"),
        (["memvr+plain"], "can't be joined"),
        (["memvr+opera"], "OPERA goes without MemVR"),
        (["contrastive"], "'contrastive' needs a student"),
        (["memvr+contrastive-plausibility"], "needs a student"),
    ],
)
def test_names_that_cannot_be(names, text):
    with pytest.raises(ConfigError, match=text):
        strategies(names, PRESET)


def test_a_student_is_for_the_contrastive_one_alone():
    _, one, control = strategies(["contrastive", "contrastive-plausibility"], PRESET, student="s")
    assert one.decoding == ContrastiveConfig(student="s")
    assert control.decoding == ContrastiveConfig(student="s", control="plausibility")
    with pytest.raises(ConfigError, match="none of plain, vcd asks one"):
        strategies(["vcd"], PRESET, student="s")


def test_sampled_answers_need_several_seeds():
    assert seeds_for([], 0.0) == [0]
    assert seeds_for([], 0.7) == [0, 1, 2]
    assert seeds_for([5], 0.0) == [5]
    with pytest.raises(ConfigError, match=r"temperature=0\.7 samples.*at least 3"):
        seeds_for([1, 2], 0.7)
    with pytest.raises(ConfigError, match="twice"):
        seeds_for([1, 1], 0.0)
