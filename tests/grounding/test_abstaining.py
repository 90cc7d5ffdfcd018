import json
from dataclasses import replace

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding.abstaining import Abstaining, read_abstaining
from memvr_integrations.memvr import MemVRConfig

USED = MemVRConfig(retracing_ratio=0.2)


def known(**options):
    return Abstaining(threshold=0.5, **options).known("a", None)


def test_what_is_above_the_threshold_is_withheld():
    rule = known()
    assert not rule.withholds(0.5)
    assert rule.withholds(0.6)
    assert rule.verdict(0.5, "A cow.") == {"threshold": 0.5, "abstained": False, "withheld": None}
    assert rule.verdict(0.6, "A cow.") == {
        "threshold": 0.5,
        "abstained": True,
        "withheld": "A cow.",
    }


def test_a_second_try_goes_further():
    rule = known(action="retry")
    harder = replace(USED, entropy_threshold=USED.entropy_threshold / 2, retracing_ratio=0.4)
    assert rule.second_try(0.6, USED) == harder
    assert rule.second_try(0.6, replace(USED, retracing_ratio=0.8)).retracing_ratio == 1
    assert rule.second_try(0.5, USED) is None  # sure enough
    assert rule.second_try(0.6, None) is None  # nothing was retraced
    assert known().second_try(0.6, USED) is None


def test_the_stronger_settings_may_be_chosen():
    rule = known(action="retry", stronger=USED)
    assert rule.second_try(0.6, MemVRConfig()) == USED
    assert rule.second_try(0.6, None) == USED


def test_the_measured_threshold_counts_where_none_is_given():
    assert Abstaining().known("bundled", 0.1).threshold == 0.1
    assert Abstaining(threshold=0.0).known("bundled", 0.1).threshold == 0
    with pytest.raises(ConfigError, match="No threshold was measured for 'bundled'"):
        Abstaining().known("bundled", None)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (None, None),
        (False, None),
        (True, Abstaining()),
        (0.3, Abstaining(threshold=0.3)),
        (0, Abstaining(threshold=0)),
        ({"threshold": 0.3, "action": "raise"}, Abstaining(threshold=0.3, action="raise")),
    ],
)
def test_a_rule_may_be_written_in_short(value, rule):
    assert read_abstaining(value) == rule


def test_a_rule_comes_back_from_json():
    rule = Abstaining(threshold=0.3, action="retry", answer="Pass.", stronger=USED)
    assert Abstaining.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"threshold": 2}, "threshold=2 must be"),
        ({"threshold": True}, "threshold=True must be"),
        ({"action": "ask"}, "action='ask' must be one of"),
        ({"answer": " "}, "answer=' ' must be a text"),
        ({"stronger": {"retracing_ratio": 0.5}}, "stronger=dict can't be used"),
    ],
)
def test_wrong_options_are_refused(wrong, hint):
    with pytest.raises(ConfigError, match=hint):
        Abstaining(**{"threshold": 0.5} | wrong)
