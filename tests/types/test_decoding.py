"""What a strategy's settings may be, and in which forms they may be given."""

import dataclasses
import json

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.types import Message, Request
from memvr_integrations.types.decoding import (
    STRATEGIES,
    ContrastiveConfig,
    DoLaConfig,
    FLBConfig,
    ICDConfig,
    OPERAConfig,
    RudderConfig,
    VCDConfig,
    read_decoding,
)


def test_the_defaults_are_the_published_ones():
    assert dataclasses.astuple(VCDConfig()) == (1.0, 0.1, None, 500)
    assert dataclasses.astuple(ICDConfig()) == (
        1.0, 0.1, None, "You are a confused object detector.",
    )  # fmt: skip
    assert dataclasses.astuple(DoLaConfig()) == (1.0, 0.1, None, "low", False)
    assert dataclasses.astuple(ContrastiveConfig(student="x")) == (0.5, 0.1, None, "x")
    assert dataclasses.astuple(FLBConfig()) == (0.3, 0.1, None, 0.05)
    assert dataclasses.astuple(OPERAConfig()) == (5, 50.0, 15, 5, 1.0, 512)
    assert dataclasses.astuple(RudderConfig()) == (20.0, 5.0, 1.0, 0.05, 1.0, None, "mean")


@pytest.mark.parametrize("kind", STRATEGIES.values(), ids=list(STRATEGIES))
def test_settings_survive_json(kind):
    config = kind(student="x") if kind is ContrastiveConfig else kind()
    plain = json.loads(json.dumps(config.to_dict()))
    assert plain["name"] == kind.name
    assert read_decoding(plain) == kind.from_dict(plain) == config


def test_layers_survive_json():
    config = DoLaConfig(layers=[6, 2, 2])
    assert config.layers == (2, 6)
    assert read_decoding(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("vdc", "No decoding strategy is called 'vdc'.*Did you mean 'vcd'"),
        (3, "decoding=3 must be None, one of vcd, icd"),
        ({"alpha": 1}, "with its 'name'"),
        ({"name": "vcd", "alhpa": 1}, "VCDConfig has no option 'alhpa'. Did you mean 'alpha'"),
        ({"name": "vcd", "noise_step": 1000}, "noise_step=1000 must be an integer from 0 to 999"),
        ({"name": "vcd", "alpha": -1}, "alpha=-1 must be a finite number from 0 to 100"),
        ({"name": "vcd", "beta": 1.1}, "beta=1.1 must be"),
        ({"name": "vcd", "control": "damping"}, "control='damping' must be one of"),
        ({"name": "icd", "disturbance": " "}, "disturbance=' ' must be a text"),
        ("contrastive", "student='' must be a text.*; give a smaller model"),
        ({"name": "dola", "layers": "middle"}, "layers='middle' must be one of"),
        ({"name": "dola", "layers": []}, r"layers=\[\] must be"),
        ({"name": "dola", "layers": [1.5]}, "layers=1.5 must be an integer"),
        ({"name": "dola", "norm_before_head": 1}, "norm_before_head=1 must be"),
        ({"name": "flb", "alpha": "much"}, "alpha='much' must be"),
        ({"name": "opera", "beams": 0}, "beams=0 must be an integer from 1 to 64"),
        ({"name": "rudder", "gate_min": 0.9, "gate_max": 0.5}, "gate_min=0.9 must be.*0 to 0.5"),
        ({"name": "rudder", "layer": -1}, "layer=-1 must be"),
        ({"name": "rudder", "pooling": "max"}, "pooling='max' must be"),
        ({"name": "yes-bias", "bias": 1000}, "bias=1000 must be"),
    ],
)
def test_what_is_refused(value, message):
    with pytest.raises(ConfigError, match=message):
        read_decoding(value)
    with pytest.raises(ConfigError, match=message):
        Request(messages=Message("user", "Hello"), decoding=value)


def test_a_request_holds_the_config():
    request = Request.ask("What?", decoding={"name": "vcd", "alpha": 0.5})
    assert request.decoding == request.strategy == VCDConfig(alpha=0.5)
