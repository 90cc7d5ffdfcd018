"""Settings that a calibration wrote, given by their path."""

import json

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.wire.presets import read_preset, read_setting

FOUND = MemVRConfig(retracing_ratio=0.2, starting_layer=1, ending_layer=7)


@pytest.fixture
def preset(tmp_path):
    path = tmp_path / "preset.json"
    path.write_text(json.dumps({"memvr": FOUND.to_dict(), "model": "bundled"}))
    return path


def test_a_path_is_what_is_in_the_file(preset, tmp_path):
    assert read_preset(preset) == FOUND
    assert read_setting(str(preset)) == FOUND
    assert ChatMemVR(model="bundled", memvr=str(preset)).memvr == FOUND
    assert MemVRMultiModalLLM(model="bundled", memvr=preset).memvr == FOUND
    off = tmp_path / "off.json"
    off.write_text(json.dumps({"memvr": None}))
    assert read_setting(off) is None
    assert ChatMemVR(model="bundled", memvr=off).memvr is None


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '"off"'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"other\.json.*is no preset file.*memvr calibrate"):
        read_setting(path)


def test_a_setting_that_is_wrong_is_named(tmp_path):
    path = tmp_path / "preset.json"
    path.write_text(json.dumps({"memvr": {"retracing_ratoi": 0.1}}))
    with pytest.raises(ConfigError, match="Did you mean 'retracing_ratio'"):
        read_preset(path)
