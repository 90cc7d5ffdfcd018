"""The models that have a name."""

import json
import re

import pytest
import torch
from families import FAMILIES
from huggingface_hub import try_to_load_from_cache

from memvr_integrations.backend import CATALOG
from memvr_integrations.backend.hosting import catalog_row
from memvr_integrations.backend.hosting.catalog import find, similar
from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import load_model
from memvr_integrations.memvr.plan import window
from memvr_integrations.models import (
    Glm4VConfig,
    Glm4VForConditionalGeneration,
    QwenVLConfig,
    QwenVLForConditionalGeneration,
)


def test_every_row_has_a_name_of_its_own():
    names = [row.name for row in CATALOG]
    assert len(set(names)) == len(names) > 25
    assert all(re.fullmatch(r"[a-z0-9.-]+", name) for name in names)
    assert len({row.checkpoint for row in CATALOG}) == len(names)


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
def test_every_row_is_of_a_family_that_is_proven(row):
    """By a tiny model through the whole backend, or by the recordings of a port."""
    assert row.family in FAMILIES or row.port == row.family
    if row.layers is not None:
        window(row.settings, row.layers)
    assert row.revision is None or re.fullmatch("[0-9a-f]{40}", row.revision)
    assert not row.calibrated or row.preset is not None
    json.dumps(row.to_dict())


def test_the_ports_have_the_published_size():
    """Counted on our own classes with the published sizes, which are their defaults."""
    text = {
        "vocab_size": 151936,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    }
    made = {
        "qwen-vl-chat": (QwenVLForConditionalGeneration, QwenVLConfig(text_config=text)),
        "glm-4v-9b": (Glm4VForConditionalGeneration, Glm4VConfig()),
    }
    for name, (model, config) in made.items():
        with torch.device("meta"):
            weights = sum(weight.numel() for weight in model(config).parameters())
        assert weights == find(name).parameters


def test_find_takes_upper_case_and_nothing_else():
    assert find("LLaVA-1.5-7B").checkpoint == "llava-hf/llava-1.5-7b-hf"
    assert find("llava") is None


def test_the_bundled_row_is_true():
    row, loaded = find("bundled"), load_model("bundled", LoadConfig(device="cpu", progress=False))
    assert row.downloaded
    assert not row.photographs
    assert row.layers == loaded.model.config.text_config.num_hidden_layers
    assert row.preset.ending_layer <= row.layers
    assert row.parameters == sum(weight.numel() for weight in loaded.model.parameters())


@pytest.mark.parametrize(
    ("revision", "asked"), [("f" * 40, "main"), (find("smolvlm-256m").revision,) * 2]
)
def test_only_a_whole_download_counts_as_downloaded(tmp_path, monkeypatch, revision, asked):
    row = find("smolvlm-256m")
    monkeypatch.setattr(catalog_row, "HF_HUB_CACHE", str(tmp_path))
    assert not row.downloaded
    folder = tmp_path / "models--HuggingFaceTB--SmolVLM-256M-Instruct"
    snapshot = folder / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(revision)
    (snapshot / "config.json").touch()
    # The hub's own function agrees on where that is.
    found = try_to_load_from_cache(row.checkpoint, "config.json", tmp_path, revision=asked)
    assert found == str(snapshot / "config.json")
    assert not row.downloaded
    (snapshot / "model.safetensors").touch()
    assert row.downloaded


@pytest.mark.parametrize(("name", "hint"), [("SMOLVLM-256", "smolvlm-256m"), ("zzz", None)])
def test_similar(name, hint):
    assert similar(name) == (f" Did you mean {hint!r}?" if hint else "")


def test_gigabytes():
    assert find("llava-1.5-7b").gigabytes() == pytest.approx(14.1, abs=0.1)
    assert find("llava-1.5-7b").gigabytes(0.5) == pytest.approx(3.5, abs=0.1)
    assert find("glm-4.6v-flash").gigabytes() is None
