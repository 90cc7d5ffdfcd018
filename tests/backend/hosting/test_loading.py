"""From a name to a model: what is found, what is refused, and what the refusal says."""

import json
import logging
import re
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from memvr_integrations.backend import Backend
from memvr_integrations.backend.hosting import loading
from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import load_model
from memvr_integrations.errors import (
    ConfigError,
    MemoryExhaustedError,
    MemVRWarning,
    ModelLoadError,
    UnsupportedModelError,
)

QUIET = LoadConfig(device="cpu", progress=False)


# -- what is found


def test_the_bundled_model(loaded):
    assert (loaded.name, loaded.row.name) == ("bundled", "bundled")
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training


def test_a_load_is_logged_and_nothing_else_is_said(caplog, capfd):
    with caplog.at_level(logging.INFO, logger="memvr_integrations"):
        load_model("bundled", QUIET)
    [line] = [one for one in caplog.messages if "loaded" in one]
    assert re.fullmatch(r"bundled loaded in \d+\.\d s: torch\.float32 on cpu", line)
    assert capfd.readouterr() == ("", "")


def test_a_directory(checkpoint):
    for name in (str(checkpoint), checkpoint):
        found = load_model(name, QUIET)
        assert (found.name, found.row) == (str(checkpoint), None)


def test_a_directory_runs_with_a_preset_that_calls_itself_uncalibrated(checkpoint, ask):
    with Backend.load(checkpoint, device="cpu", progress=False) as backend:
        assert not backend.calibrated
        assert backend.preset.ending_layer <= 12
        assert backend.generate(ask("What?", 0, max_tokens=1))[0].model == str(checkpoint)


def test_a_path_is_a_path_even_if_it_is_called_like_a_model(tmp_path, monkeypatch, checkpoint):
    monkeypatch.chdir(tmp_path)
    checkpoint.rename("bundled")
    assert load_model(Path("bundled"), QUIET).row is None
    assert load_model("Bundled", QUIET).row.name == "bundled"


@pytest.mark.parametrize(("asked", "got"), [("bfloat16", torch.bfloat16), ("auto", torch.float32)])
def test_dtype(asked, got):
    assert (
        load_model("bundled", LoadConfig(device="cpu", dtype=asked, progress=False)).model.dtype
        == got
    )


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_the_progress_switch_is_left_as_it_was(before, wanted, capfd):
    loading._switch_bars(before)
    try:
        load_model("bundled", LoadConfig(device="cpu", progress=wanted))
        assert transformers.utils.logging.is_progress_bar_enabled() is before
    finally:
        loading._switch_bars(True)
    assert ("100%" in capfd.readouterr().err) is wanted


# -- checkpoints that are broken


def test_a_directory_without_a_config(tmp_path):
    with pytest.raises(ModelLoadError, match=r"without a config\.json.*save_pretrained"):
        Backend.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"\xff" * 200),
        ("model.safetensors", None),
        ("config.json", b"{"),
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("processor_config.json", b"["),
    ],
)
def test_a_damaged_file_is_named_in_one_line(checkpoint, file, content):
    if content is None:
        content = (checkpoint / file).read_bytes()[:100_000]
    (checkpoint / file).write_bytes(content)
    with pytest.raises(ModelLoadError, match="was found but could not be loaded") as caught:
        load_model(checkpoint, QUIET)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_missing_weights_are_refused(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="safetensors"):
        load_model(checkpoint, QUIET)


def test_a_text_only_model_is_unsupported(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UnsupportedModelError, match=r"'llama'.*vision-language"):
        load_model(tmp_path, QUIET)


def test_a_processor_without_a_chat_template_is_unsupported(checkpoint):
    (checkpoint / "chat_template.jinja").unlink()
    with pytest.raises(UnsupportedModelError, match="no chat template"):
        Backend.load(checkpoint, device="cpu", progress=False)


def test_a_model_that_does_not_fit_gets_advice(monkeypatch):
    def full(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loading.AutoModelForImageTextToText, "from_pretrained", full)
    with pytest.raises(MemoryExhaustedError, match="quantization='4bit'"):
        load_model("bundled", QUIET)


# -- options


@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
def test_quantisation_without_bitsandbytes_says_what_to_install(monkeypatch, quantization):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ModelLoadError, match="pip install bitsandbytes"):
        load_model("bundled", LoadConfig(device="cpu", quantization=quantization, progress=False))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"dtype": "float64"}, r"'float64' must be one of \['auto', 'float32'"),
        ({"quantization": "2bit"}, r"one of \[None, '4bit', '8bit'\]"),
        ({"device": "gpu"}, "'gpu' must be one of auto, cpu, cuda, mps"),
        ({"device": "cuda:x"}, "like 'cuda:1'"),
        ({"device": "auto:1"}, "like 'cuda:1'"),
        ({"device": "cpu:"}, "like 'cuda:1'"),
    ],
)
def test_options_that_no_machine_has(options, text):
    with pytest.raises(ConfigError, match=text):
        Backend.load("bundled", **options)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_where_there_is_none(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device; use device='cpu'"):
        Backend.load("bundled", device=device)


def test_an_attention_that_is_not_there_is_refused():
    with pytest.raises(ModelLoadError, match="no_such_attention"):
        load_model(
            "bundled", LoadConfig(device="cpu", attention="no_such_attention", progress=False)
        )


def test_code_of_a_checkpoint_is_never_run(checkpoint, monkeypatch):
    """Not even when somebody says "y" to the question that transformers would ask."""
    ran = checkpoint / "ran"
    (checkpoint / "conf.py").write_text(
        f"from pathlib import Path\nPath({str(ran)!r}).touch()\n"
        "from transformers import PretrainedConfig\n"
        "class Conf(PretrainedConfig):\n    model_type = 'surprise'\n"
    )
    config = json.loads((checkpoint / "config.json").read_text())
    config |= {"model_type": "surprise", "auto_map": {"AutoConfig": "conf.Conf"}}
    (checkpoint / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(UnsupportedModelError, match="never run here"):
        load_model(checkpoint, QUIET)
    assert not ran.exists()


def test_weights_that_no_file_has_are_not_made_up(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    gone = next(name for name in weights if "up_proj" in name)
    tower = next(name for name in weights if "vision" in name)
    save_file({n: w for n, w in weights.items() if n != gone}, checkpoint / "model.safetensors")
    with pytest.raises(ModelLoadError, match=r"1 weights of .*up_proj.*answer by chance"):
        load_model(checkpoint, QUIET)
    save_file({n: w for n, w in weights.items() if n != tower}, checkpoint / "model.safetensors")
    with pytest.warns(MemVRWarning, match="vision.*they are random"):
        assert load_model(checkpoint, QUIET).origin is None  # it is another each time


@pytest.mark.parametrize("content", ["[]", '{"image_processor": 5}'])
def test_a_processor_of_another_kind_is_refused(checkpoint, content):
    (checkpoint / "processor_config.json").write_text(content)
    with pytest.raises(ModelLoadError, match="could not be loaded"):
        load_model(checkpoint, QUIET)


@pytest.mark.parametrize("options", [{"device": None}, {"device": 0}, {"memvr": "yes"}])
def test_options_of_another_kind_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        LoadConfig(**options)
