"""Converting published checkpoints: whole, stopped, damaged and foreign ones."""

import base64
import hashlib
import json
import os
import shutil
import signal
import time

import pytest
import torch
from filelock import FileLock
from forked import forked
from published import (
    GLM,
    QWEN,
    glm_weights,
    qwen_weights,
    write_config,
    write_glm,
    write_qwen,
    write_ranks,
    write_shards,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from memvr_integrations.errors import ModelLoadError, UnsupportedModelError
from memvr_integrations.models import conversion, part_writer
from memvr_integrations.models.conversion import convert
from memvr_integrations.models.part_writer import RECORD

SMALL = 20_000  # bytes a part: many parts


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    write_qwen(folder / "qwen")
    write_glm(folder / "glm")
    return folder


@pytest.fixture
def copy(published, tmp_path):
    """A checkpoint of one's own to break."""

    def make(family):
        shutil.copytree(published / family, tmp_path / family)
        return tmp_path / family

    return make


def weights(folder):
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= load_file(path)
    return found


def same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("family", ["qwen", "glm"])
def test_small_parts_make_the_same_model(published, tmp_path, family):
    convert(published / family, tmp_path / "whole", progress=False)
    convert(published / family, tmp_path / "parts", progress=False, part_bytes=SMALL)
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 20
    same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "parts", dtype="float32")
    same(dict(model.state_dict()), weights(tmp_path / "whole"))
    record = json.loads((tmp_path / "parts" / RECORD).read_text())
    for name, digest in (record["parts"]).items():
        data = (tmp_path / "parts" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest


def test_pickled_weights_are_read_too(published, tmp_path):
    (tmp_path / "pickled").mkdir()
    for name in ("config.json", "qwen.tiktoken"):
        shutil.copy(published / "qwen" / name, tmp_path / "pickled")
    write_shards(tmp_path / "pickled", qwen_weights(), pickled=True)
    convert(tmp_path / "pickled", tmp_path / "one", progress=False)
    convert(published / "qwen", tmp_path / "other", progress=False)
    same(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_killed_in_the_middle_it_goes_on(published, tmp_path):
    target = tmp_path / "ours"
    write = part_writer.Parts._write_part

    def slowly(*args):
        write(*args)
        time.sleep(0.05)

    def convert_slowly():
        part_writer.Parts._write_part = slowly
        convert(published / "glm", target, progress=False, part_bytes=SMALL)

    child = forked(convert_slowly)
    deadline = time.monotonic() + 60
    while len(list(target.glob("*.safetensors"))) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in target.glob("*.safetensors")}
    assert 8 <= len(done) < 40
    assert not (target / "config.json").exists()
    (target / sorted(done)[0]).write_bytes(b"damaged meanwhile")
    convert(published / "glm", target, progress=False, part_bytes=SMALL)
    kept = [path for path, when in done.items() if path.stat().st_mtime_ns == when]
    assert len(kept) >= len(done) - 2
    convert(published / "glm", tmp_path / "whole", progress=False)
    same(weights(target), weights(tmp_path / "whole"))
    assert not list(target.glob("*.unfinished"))


def test_converting_again_changes_nothing(published, tmp_path):
    convert(published / "qwen", tmp_path / "ours", progress=False)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("ours/*.safetensors")}
    convert(published / "qwen", tmp_path / "ours", progress=False)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("ours/*.safetensors")}
    assert before == after


def refused(source, target, error, match):
    with pytest.raises(error, match=match):
        convert(source, target, progress=False)
    assert not (target / "config.json").exists()


def test_a_foreign_checkpoint_is_refused(tmp_path):
    write_config(tmp_path / "llama", {"model_type": "llama"})
    refused(
        tmp_path / "llama", tmp_path / "ours", UnsupportedModelError, "'llama'.*Qwen-VL-Chat and"
    )
    write_config(tmp_path / "text", {"model_type": "qwen"})  # Qwen without eyes
    refused(tmp_path / "text", tmp_path / "ours", UnsupportedModelError, "'qwen'")
    refused(tmp_path / "nowhere", tmp_path / "ours", ModelLoadError, "config.json can't be read")


def test_a_truncated_file_is_refused(copy, tmp_path):
    source = copy("qwen")
    file = source / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    refused(source, tmp_path / "ours", ModelLoadError, "00002-of-00002.*damaged or incomplete")
    file.write_bytes(b"")
    refused(source, tmp_path / "ours", ModelLoadError, "00002-of-00002.*damaged or incomplete")
    file.unlink()
    refused(source, tmp_path / "ours", ModelLoadError, "lacks 1 of 2 files.*00002-of-00002")


def test_a_truncated_pickle_is_refused(copy, tmp_path):
    source = copy("glm")
    for path in source.glob("model*"):
        path.unlink()
    refused(source, tmp_path / "ours", ModelLoadError, "has no weights")
    write_shards(source, glm_weights(), pickled=True)
    file = source / "pytorch_model-00001-of-00002.bin"
    file.write_bytes(file.read_bytes()[:-1000])
    refused(source, tmp_path / "ours", ModelLoadError, "00001-of-00002.bin can't be read")


def test_wrong_weights_are_refused(copy, tmp_path):
    source = copy("qwen")
    weights = qwen_weights()
    weights["transformer.h.0.mlp.w1.qweight"] = weights.pop("transformer.h.0.mlp.w1.weight")
    write_shards(source, weights)
    refused(source, tmp_path / "ours", ModelLoadError, "1 parameters are none of.*w1.qweight")
    del weights["transformer.h.0.mlp.w1.qweight"]
    write_shards(source, weights)
    refused(source, tmp_path / "ours", ModelLoadError, "1 of .* come from none.*mlp.up_proj")
    write_shards(source, qwen_weights())
    write_config(source, QWEN | {"num_hidden_layers": 31})
    refused(source, tmp_path / "ours", ModelLoadError, "smaller Qwen-VL-Chat than the weights")
    write_config(source, QWEN | {"intermediate_size": 64})
    refused(source, tmp_path / "ours", ModelLoadError, "but config.json says")
    write_config(source, {name: QWEN[name] for name in QWEN if name != "hidden_size"})
    refused(source, tmp_path / "new", ModelLoadError, "does not describe a Qwen-VL-Chat.*hidden")


def test_wrong_tokens_are_refused(copy, tmp_path):
    source = copy("qwen")
    write_ranks(source / "qwen.tiktoken", 280)
    refused(source, tmp_path / "ours", ModelLoadError, "<imgpad> token 496.*is 507")
    (source / "qwen.tiktoken").write_text("no pairs")
    refused(source, tmp_path / "ours", ModelLoadError, "qwen.tiktoken can't be read")
    source = copy("glm")
    write_ranks(source / "tokenizer.model", 480)
    refused(source, tmp_path / "ours", ModelLoadError, "different checkpoints")
    (source / "tokenizer_config.json").unlink()
    refused(source, tmp_path / "ours", ModelLoadError, "tokenizer_config.json does not say")


def test_files_must_be_what_the_hub_published(copy, tmp_path):
    """In the hub's cache, a file is a link to a blob that is called by its SHA-256."""
    source = copy("qwen")
    for path in list(source.glob("*.safetensors")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (tmp_path / digest).write_bytes(path.read_bytes())
        path.unlink()
        path.symlink_to(tmp_path / digest)
    convert(source, tmp_path / "ours", progress=False)
    data = bytearray((tmp_path / digest).read_bytes())
    data[-5] ^= 1
    (tmp_path / digest).write_bytes(data)
    refused(source, tmp_path / "new", ModelLoadError, f"SHA-256.*the hub gave {digest}")


def test_files_must_be_what_a_download_noted(copy, tmp_path):
    source = copy("qwen")
    notes = source / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    file = "model-00001-of-00002.safetensors"
    (notes / f"{file}.metadata").write_text(f"{'a' * 40}\n{'b' * 64}\n1700000000.0\n")
    refused(source, tmp_path / "ours", ModelLoadError, f"the hub gave {'b' * 64}")


def test_a_target_is_not_overwritten(published, copy, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    refused(published / "qwen", tmp_path / "mine", ModelLoadError, "not empty and holds no conv")
    convert(published / "qwen", tmp_path / "ours", progress=False)
    source = copy("glm")
    with pytest.raises(ModelLoadError, match="holds a conversion of other files"):
        convert(source, tmp_path / "ours", progress=False)
    (tmp_path / "ours" / RECORD).write_text("{}")
    with pytest.raises(ModelLoadError, match=r"conversion\.json is damaged"):
        convert(published / "qwen", tmp_path / "ours", progress=False)


def test_a_full_disk_is_reported_before(published, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(part_writer.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    refused(published / "qwen", tmp_path / "ours", ModelLoadError, "GB more, but its disk has 0.0")


def test_bars_can_be_seen(published, tmp_path, capfd):
    convert(published / "glm", tmp_path / "ours")
    shown = capfd.readouterr().err
    assert "Checking files" in shown
    assert "Converting GLM-4V-9B" in shown


def test_bytes_are_words_as_published(published, tmp_path):
    """Every token of the file has the number that the file gives it, and comes back as it was."""
    convert(published / "qwen", tmp_path / "ours", progress=False)
    processor = conversion.QWEN_VL.processor(published / "qwen", conversion.QWEN_VL.config(QWEN))
    tokenizer = processor.tokenizer
    text = "Is there a dog? Ünïcode 図 12 <ref>dog</ref><box>(1,2),(3,4)</box>"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    lines = (published / "qwen" / "qwen.tiktoken").read_bytes().splitlines()
    for line in lines[256:]:
        token, rank = line.split()
        word = base64.b64decode(token).decode()
        assert tokenizer(word, add_special_tokens=False).input_ids == [int(rank)]


def test_settings_decide_how_weights_are_cut(copy, tmp_path):
    """Corrected settings don't go on with parts that were cut by wrong ones."""
    source = copy("qwen")
    write_config(source, QWEN | {"visual": QWEN["visual"] | {"heads": 4}})
    convert(source, tmp_path / "ours", progress=False)
    write_config(source, QWEN)
    with pytest.raises(ModelLoadError, match="conversion of other files"):
        convert(source, tmp_path / "ours", progress=False)


@pytest.mark.parametrize(
    ("family", "changes", "text"),
    [
        ("qwen", {"hidden_size": "32"}, "hidden_size is '32', not a whole number"),
        ("qwen", {"hidden_size": 0}, "hidden_size is 0"),
        ("qwen", {"num_attention_heads": 5}, "can't be cut into num_attention_heads=5"),
        ("qwen", {"no_bias": False}, "no_bias is False; True alone is ported"),
        ("qwen", {"kv_channels": 16}, "kv_channels is 16"),
        ("qwen", {"visual": QWEN["visual"] | {"heads": 3}}, "width=32 can't be cut into heads=3"),
        ("qwen", {"visual": QWEN["visual"] | {"mlp_ratio": float("inf")}}, "mlp_ratio is inf"),
        ("qwen", {"visual": []}, "visual is \\[\\]"),
        ("qwen", {"quantization_config": {"bits": 4}}, "is quantised"),
        ("glm", {"seq_length": -1}, "seq_length is -1"),
        ("glm", {"layernorm_epsilon": "1e-5"}, "does not describe a GLM-4V-9B"),
        ("glm", {"rmsnorm": False}, "rmsnorm is False; True alone is ported"),
        ("glm", {"boi_token_id": 500}, "gives token 500 another name"),
        ("glm", {"multi_query_group_num": 3}, "can't be cut as config.json says"),
        (
            "glm",
            {"vision_config": GLM["vision_config"] | {"hidden_act": "quick_gelu"}},
            "hidden_act is 'quick_gelu'",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(copy, tmp_path, family, changes, text):
    source = copy(family)
    write_config(source, (QWEN if family == "qwen" else GLM) | changes)
    with pytest.raises(ModelLoadError, match=text) as caught:
        convert(source, tmp_path / "ours", progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ours" / "config.json").exists()


def test_quantised_weights_are_refused(copy, tmp_path):
    source = copy("glm")
    weights = glm_weights()
    name = "transformer.encoder.layers.0.self_attention.dense.weight"
    weights[name] = weights[name].to(torch.int8)
    write_shards(source, weights)
    refused(source, tmp_path / "ours", ModelLoadError, f"{name} as I8: it is quantised")


class Harmful:
    """Unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_never_run(copy, tmp_path, legacy):
    source, trace = copy("glm"), tmp_path / "it ran"
    for path in source.glob("model*"):
        path.unlink()
    torch.save(
        {"transformer.weight": Harmful(str(trace))},
        source / "pytorch_model.bin",
        _use_new_zipfile_serialization=not legacy,
    )
    refused(source, tmp_path / "ours", ModelLoadError, "code in it is never run")
    assert not trace.exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80\x02}q\x00K\x01K\x02s.", b"\xd6F\x95\xff"]
)
def test_what_is_no_pickle_is_refused(copy, tmp_path, content):
    source = copy("glm")
    for path in source.glob("model*"):
        path.unlink()
    (source / "pytorch_model.bin").write_bytes(content)
    refused(source, tmp_path / "ours", ModelLoadError, "pytorch_model.bin")


@pytest.mark.parametrize("names", [{"a": 5}, {"a": "../x"}, {"a": "."}, [1]])
def test_an_index_that_is_damaged_is_refused(copy, tmp_path, names):
    source = copy("qwen")
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    refused(source, tmp_path / "ours", ModelLoadError, "index.json is damaged|lacks 1 of 1")


def test_a_parameter_in_two_files_is_refused(copy, tmp_path):
    source = copy("qwen")
    first, second = (source / f"model-0000{n}-of-00002.safetensors" for n in (1, 2))
    weights = load_file(second)
    name = next(iter(load_file(first)))
    save_file(weights | {name: load_file(first)[name]}, second)
    refused(source, tmp_path / "ours", ModelLoadError, f"Two files hold {name}")


def test_targets_that_cannot_be_written_are_refused(published, tmp_path):
    (tmp_path / "file").touch()
    for target in (tmp_path / "file", tmp_path / "file" / "under"):
        with pytest.raises(ModelLoadError, match="can't be written"):
            convert(published / "qwen", target, progress=False)


def test_two_conversions_do_not_write_at_once(published, tmp_path):
    (tmp_path / "ours").mkdir()
    with FileLock(tmp_path / "ours" / "conversion.lock"):
        refused(published / "qwen", tmp_path / "ours", ModelLoadError, "Another conversion is")
    (tmp_path / "ours" / "conversion.unfinished").touch()  # killed while it wrote its first note
    convert(published / "qwen", tmp_path / "ours", progress=False)
    assert not list((tmp_path / "ours").glob("*.lock"))
