"""What the plug-ins for other harnesses share: options, ways, presets and messages."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image as Pillow

from memvr_integrations.backend import Backend
from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.evaluate.harnesses.harness import HarnessOptions, conversation, part
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Image, Text
from memvr_integrations.types.decoding import VCDConfig

PRESET = MemVRConfig(retracing_ratio=0.2)


class Stub:
    """What `Backend.load` gives back here."""

    preset = PRESET


@pytest.fixture
def loads(monkeypatch):
    """The calls of `Backend.load`: names and options."""
    calls = []
    monkeypatch.setattr(
        Backend, "load", lambda name, **options: calls.append((name, options)) or Stub()
    )
    return calls


def preset_file(folder, memvr):
    file = folder / "preset.json"
    file.write_text(json.dumps({"memvr": memvr}))
    return str(file)


def test_options_come_as_text_and_numbers_in_any_mixture():
    read = HarnessOptions.read(
        {
            "pretrained": pathlib.Path("folder"),
            "revision": 2024,
            "max_new_tokens": "12",
            "seed": 3.0,
            "preset": "None",
            "quantization": None,
        }
    )
    assert (read.pretrained, read.revision, read.max_new_tokens) == ("folder", "2024", 12)
    assert (read.seed, read.preset, read.quantization) == (3, None, None)
    assert isinstance(read.seed, int)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"decodin": "vcd"}, "no option 'decodin'. Did you mean 'decoding'"),
        ({"decoding": "memvvr"}, "Did you mean 'memvr'"),
        ({"decoding": "vcd+icd"}, "can't be joined"),
        ({"pretrained": True}, "pretrained=True must be a text"),
        ({"revision": 1.5}, r"revision=1\.5 must be a text"),
        ({"max_new_tokens": "auto"}, "max_new_tokens='auto' must be a whole number"),
        ({"max_new_tokens": 1.5}, "must be a whole number"),
        ({"max_new_tokens": True}, "must be a whole number"),
        ({"max_new_tokens": 0}, "integer of at least 1"),
        ({"seed": -1}, "integer of at least 0"),
        ({"decoding": "vcd", "preset": "a.json"}, "leave one of them out"),
    ],
)
def test_options_that_cannot_be(given, text):
    with pytest.raises(ConfigError, match=text):
        HarnessOptions.read(given)


def test_the_model_is_loaded_as_the_way_needs_it(loads):
    _, both = HarnessOptions(pretrained="m", decoding="memvr+vcd", dtype="float32").load(batch=5)
    assert (both.memvr, both.decoding) == (PRESET, VCDConfig())
    [(name, options)] = loads
    assert (name, options["dtype"], options["memvr"]) == ("m", "float32", True)
    assert options["queueing"].max_batch == 5
    _, plain = HarnessOptions(decoding="plain").load()
    assert (plain.memvr, plain.decoding) == (None, None)
    assert loads[1][1]["memvr"] is None  # models that MemVR can't attach to as well
    _, shuffled = HarnessOptions(decoding="shuffled").load()
    assert shuffled.shuffled
    assert shuffled.memvr.retracing_ratio == 0.2


def test_a_preset_file_takes_the_place_of_the_models_preset(loads, tmp_path):
    file = preset_file(tmp_path, {"entropy_threshold": 0.5})
    _, way = HarnessOptions(decoding="damping", preset=file).load()
    assert (way.memvr.entropy_threshold, way.memvr.control) == (0.5, "damping")


def test_a_preset_that_says_off_is_plain_decoding(loads, tmp_path):
    file = preset_file(tmp_path, None)
    _, way = HarnessOptions(decoding="memvr+vcd", preset=file).load()
    assert (way.memvr, way.decoding) == (None, VCDConfig())
    assert loads[0][1]["memvr"] is None
    with pytest.raises(ConfigError, match="nothing to control"):
        HarnessOptions(decoding="damping", preset=file).load()
    with pytest.raises(ConfigError, match="no preset file"):
        HarnessOptions(preset=str(tmp_path / "none.json")).load()
    assert len(loads) == 1


PIXELS = np.zeros((2, 2, 3), np.uint8)
PICTURE = Pillow.new("RGB", (2, 2))


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("a/b.png", pathlib.Path("a/b.png")),
        ("file:///a/b.png", pathlib.Path("/a/b.png")),
        ("https://example.org/a.png", "https://example.org/a.png"),
        ("data:image/png;base64,AAAA", "data:image/png;base64,AAAA"),
        (b"bytes", b"bytes"),
        (PICTURE, PICTURE),
        (PIXELS, PIXELS),
    ],
)
def test_pictures_come_as_paths_addresses_and_objects(value, source):
    made = part("image", value)
    assert isinstance(made, Image)
    assert made.source is source or made.source == source


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("video", "clip.mp4", "type 'video'.*frames"),
        ("audio", {"array": []}, "without video and audio"),
        ("text", 5, r"type 'text' \(int\)"),
        ("image", {"bytes": b""}, "came as a dict"),
        ("image", None, "came as a NoneType"),
    ],
)
def test_other_parts_are_refused(kind, value, text):
    with pytest.raises(RequestError, match=text):
        part(kind, value)


def test_a_conversation_keeps_roles_and_the_order_of_parts():
    turns = [
        ("system", [("text", "Be brief.")]),
        ("user", [("text", "This"), ("image", PICTURE), ("text", "or this?")]),
        ("assistant", [("text", "This.")]),
        ("user", [("image", PICTURE), ("text", "And now?")]),
    ]
    said = conversation(turns, None)
    assert [message.role for message in said] == ["system", "user", "assistant", "user"]
    assert [type(one) for one in said[1].content] == [Text, Image, Text]
    other = conversation(turns, "Be polite.")
    assert [message.role for message in other] == ["system", "user", "assistant", "user"]
    assert other[0].content == (Text("Be polite."),)


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([], "is empty"),
        ([("user", [("text", "A?")]), ("assistant", [("text", "B")])], "ends with 'assistant'"),
        ([("judge", [("text", "A?")])], "role='judge' is unknown"),
    ],
)
def test_a_conversation_that_nobody_could_answer(turns, text):
    with pytest.raises(RequestError, match=text):
        conversation(turns, None)
