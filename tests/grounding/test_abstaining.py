from dataclasses import replace

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding.abstaining import Abstaining, known_threshold
from memvr_integrations.memvr import MemVRConfig

USED = MemVRConfig(retracing_ratio=0.2)


def record(unsureness, config):
    return {"unsureness": unsureness, "config": config and config.to_dict()}


def test_what_is_above_the_threshold_is_withheld():
    rule = Abstaining(threshold=0.5)
    assert not rule.withholds(0.5)
    assert rule.withholds(0.6)
    assert rule.verdict(0.5, "A cow.") == {"threshold": 0.5, "abstained": False, "withheld": None}
    assert rule.verdict(0.6, "A cow.") == {
        "threshold": 0.5,
        "abstained": True,
        "withheld": "A cow.",
    }


def test_a_second_try_goes_further():
    rule = Abstaining(threshold=0.5, action="retry")
    harder = replace(USED, entropy_threshold=USED.entropy_threshold / 2, retracing_ratio=0.4)
    assert rule.second_try(record(0.6, USED)) == harder
    most = replace(USED, retracing_ratio=0.8)
    assert rule.second_try(record(0.6, most)).retracing_ratio == 1
    assert rule.second_try(record(0.5, USED)) is None  # sure enough
    assert rule.second_try(record(0.6, None)) is None  # nothing was retraced
    assert Abstaining(threshold=0.5).second_try(record(0.6, USED)) is None


def test_the_stronger_settings_may_be_chosen():
    rule = Abstaining(threshold=0.5, action="retry", stronger=USED)
    assert rule.second_try(record(0.6, MemVRConfig())) == USED
    assert rule.second_try(record(0.6, None)) == USED


def test_the_measured_threshold_counts_where_none_is_given():
    assert known_threshold("bundled", given=None, measured=0.1) == 0.1
    assert known_threshold("bundled", given=0.0, measured=0.1) == 0
    with pytest.raises(ConfigError, match="No threshold was measured for 'bundled'"):
        known_threshold("bundled", given=None, measured=None)


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
