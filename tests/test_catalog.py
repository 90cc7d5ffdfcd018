"""The models that have a name."""

import pytest

from memvr_integrations.backend import CATALOG, catalog
from memvr_integrations.backend.catalog import find, similar


def test_the_names_are_those_of_the_documentation():
    names = [row.name for row in CATALOG]
    assert names == ["bundled", "smolvlm-256m", "smolvlm-500m", "llava-1.5-7b", "llava-1.5-13b"]
    assert all(name == name.lower() for name in names)


def test_find_takes_upper_case_and_nothing_else():
    assert find("LLaVA-1.5-7B").checkpoint == "llava-hf/llava-1.5-7b-hf"
    assert find("llava") is None


def test_the_bundled_row_is_true(loaded):
    row = find("bundled")
    assert row.downloaded
    assert not row.photographs
    assert row.preset.ending_layer <= loaded.model.config.text_config.num_hidden_layers


def test_only_a_whole_download_counts_as_downloaded(tmp_path, monkeypatch):
    row = find("smolvlm-256m")
    monkeypatch.setattr(catalog, "try_to_load_from_cache", lambda *a, **k: None)
    assert not row.downloaded
    found = str(tmp_path / "config.json")
    monkeypatch.setattr(catalog, "try_to_load_from_cache", lambda *a, **k: found)
    assert not row.downloaded
    (tmp_path / "model.safetensors").touch()
    assert row.downloaded


@pytest.mark.parametrize(("name", "hint"), [("SMOLVLM-256", "smolvlm-256m"), ("zzz", None)])
def test_similar(name, hint):
    assert similar(name) == (f" Did you mean {hint!r}?" if hint else "")


def test_gigabytes():
    assert find("llava-1.5-7b").gigabytes() == pytest.approx(14.1, abs=0.1)
    assert find("llava-1.5-7b").gigabytes(0.5) == pytest.approx(3.5, abs=0.1)
