import dataclasses
import json
import math

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import MemVRConfig


def test_the_defaults_are_the_llava_preset():
    assert MemVRConfig() == MemVRConfig.preset("llava")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llava", (5, 16, 0.75, 0.12, "top10", None, True)),
        ("qwen_vl", (9, 16, 0.75, 0.28, "top10", "silu", False)),
        ("glm_4v", (9, 16, 0.75, 0.28, "top10", "silu", False)),
        ("paper", (5, 16, 0.75, 0.12, "vocabulary", "silu", True)),
    ],
)
def test_presets(name, expected):
    assert dataclasses.astuple(MemVRConfig.preset(name))[:7] == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"starting_layer": -2}, "starting_layer=-2 must be an integer of at least -1"),
        ({"starting_layer": 5.0}, "starting_layer=5.0 must be an integer"),
        ({"starting_layer": True}, "starting_layer=True must be an integer"),
        ({"ending_layer": "16"}, "ending_layer='16' must be an integer"),
        ({"starting_layer": 5, "ending_layer": 6}, "No layer lies strictly between"),
        ({"starting_layer": 16, "ending_layer": 5}, "ending_layer must be at least 18"),
        (
            {"entropy_threshold": -0.1},
            "entropy_threshold=-0.1 must be a finite number of 0 or more",
        ),
        ({"entropy_threshold": math.inf}, "entropy_threshold=inf must be"),
        ({"entropy_threshold": math.nan}, "entropy_threshold=nan must be"),
        ({"entropy_threshold": True}, "entropy_threshold=True must be"),
        ({"entropy_threshold": "0.75"}, "entropy_threshold='0.75' must be"),
        ({"retracing_ratio": 1.1}, "retracing_ratio=1.1 must be a finite number from 0 to 1"),
        ({"retracing_ratio": -0.1}, "retracing_ratio=-0.1 must be"),
        ({"retracing_ratio": None}, "retracing_ratio=None must be"),
        ({"uncertainty": "top5"}, "uncertainty='top5' must be one of"),
        ({"activation": "tanh"}, "activation='tanh' must be one of"),
        ({"norm_before_head": 1}, "norm_before_head=1 must be one of"),
        ({"dynamic_ratio": "yes"}, "dynamic_ratio='yes' must be one of"),
        ({"scope": None}, "scope=None must be one of"),
        ({"control": "scrambled"}, "control='scrambled' must be one of"),
        ({"retrace_ratio": 0.1}, "no option 'retrace_ratio'. Did you mean 'retracing_ratio'?"),
        ({"zebra": 1}, "no option 'zebra'. Choose from"),
    ],
)
@pytest.mark.parametrize("make", [lambda s: MemVRConfig(**s), MemVRConfig.from_dict])
def test_what_is_refused(make, settings, message):
    with pytest.raises(ConfigError) as caught:
        make(settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"starting_layer": -1, "ending_layer": 1},
        {"entropy_threshold": 1.5},
        {"entropy_threshold": 0},
        {"retracing_ratio": 1},
        {"control": "damping"},
    ],
)
def test_what_is_accepted(settings):
    assert dataclasses.replace(MemVRConfig(), **settings) == MemVRConfig(**settings)


def test_a_config_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MemVRConfig().retracing_ratio = 0.5


def test_json_and_back():
    config = MemVRConfig.preset("glm_4v")
    assert MemVRConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_preset():
    with pytest.raises(ConfigError, match="No preset is called 'llama'"):
        MemVRConfig.preset("llama")


@pytest.mark.parametrize(
    ("layers", "expected"),
    [(32, (5, 16)), (64, (11, 32)), (16, (2, 8)), (24, (3, 12)), (2, (-1, 1))],
)
def test_a_window_follows_the_depth(layers, expected):
    config = MemVRConfig().for_depth(layers)
    assert (config.starting_layer, config.ending_layer) == expected


@pytest.mark.parametrize("start", [-1, 5, 29])
def test_a_window_of_any_depth_can_be_retraced(start):
    config = MemVRConfig(starting_layer=start, ending_layer=32)
    for layers in range(2, 100):
        moved = config.for_depth(layers)
        assert moved.starting_layer + 1 <= layers - 2
        assert moved.ending_layer <= layers


def test_a_depth_without_a_successor():
    with pytest.raises(ConfigError, match="layers=1 must be an integer of at least 2"):
        MemVRConfig().for_depth(1)


def test_some_fields_change_a_preset():
    assert MemVRConfig.read({"retracing_ratio": 0.2}) == {"retracing_ratio": 0.2}
    whole = MemVRConfig(retracing_ratio=0.2)
    assert MemVRConfig.read(whole.to_dict()) == whole
    narrow = MemVRConfig(starting_layer=2, ending_layer=6)
    changed = narrow.changed({"retracing_ratio": 0.2})
    assert changed == MemVRConfig(starting_layer=2, ending_layer=6, retracing_ratio=0.2)
    for wrong in ({"ratio": 0.2}, {"retracing_ratio": 2.0}):
        with pytest.raises(ConfigError):
            MemVRConfig.read(wrong)
