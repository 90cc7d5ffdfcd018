"""Where a model's files are: names, directories, the hub and its cache."""

import json
import logging
import time
from unittest.mock import MagicMock

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from memvr_integrations.backend import Backend
from memvr_integrations.backend.hosting import locating
from memvr_integrations.backend.hosting.catalog import find
from memvr_integrations.errors import MemVRWarning, ModelNotFoundError


@pytest.fixture
def hub(monkeypatch):
    """A hub whose answer a test sets, and a machine that has downloaded nothing."""

    class Hub:
        error: Exception = ConnectionError("no route")
        asked: list = []  # noqa: RUF012

        def cached(self, *args, **options):
            raise LocalEntryNotFoundError("nothing here")

        def info(self, name, **options):
            self.asked = [*self.asked, (name, options)]
            raise self.error

    fake = Hub()
    monkeypatch.setattr(locating, "snapshot_download", fake.cached)
    monkeypatch.setattr(locating, "model_info", fake.info)
    return fake


RESPONSE = MagicMock()  # of whichever HTTP library the hub's client uses now


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lava-1.5-7b", "'llava-1.5-7b'"),
        ("LLaVA-1.5-13", "'llava-1.5-13b'"),
        ("smolvlm", "'smolvlm-"),
        ("bundeld", "'bundled'"),
    ],
)
def test_did_you_mean(name, hint):
    with pytest.raises(ModelNotFoundError, match=f"Did you mean {hint}"):
        Backend.load(name)


def test_a_name_that_resembles_nothing_gets_the_list():
    with pytest.raises(ModelNotFoundError, match="bundled, smolvlm-256m") as caught:
        Backend.load("xyzzy")
    assert "Did you mean" not in str(caught.value)
    for path in ("./nowhere", "/no/where", "a/b/c"):
        with pytest.raises(ModelNotFoundError, match="no directory here"):
            Backend.load(path)


def test_upper_case_finds_the_row_and_its_checkpoint(hub):
    with pytest.raises(ModelNotFoundError, match=r"llava-1\.5-7b-hf is not on this machine"):
        Backend.load("LLaVA-1.5-7B")
    assert hub.asked[0][0] == "llava-hf/llava-1.5-7b-hf"


def test_a_hub_that_cannot_be_reached_is_named_soon_and_with_advice():
    started = time.monotonic()  # pytest-socket blocks the network
    with pytest.raises(ModelNotFoundError, match=r"can't be reached.*hf download.*'bundled'"):
        Backend.load("someone/something")
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionError("no route"), r"can't be reached \(ConnectionError\)"),
        (TimeoutError(), r"can't be reached \(TimeoutError\)"),
        (RepositoryNotFoundError("no", response=RESPONSE), "has no model 'some/one'"),
        (GatedRepoError("no", response=RESPONSE), "gated.*hf auth login"),
        (RevisionNotFoundError("no", response=RESPONSE), "no revision 'v9'"),
    ],
)
def test_what_the_hub_says(hub, error, text):
    hub.error = error
    with pytest.raises(ModelNotFoundError, match=text) as caught:
        Backend.load("some/one", revision="v9")
    assert caught.value.__cause__ is error
    assert hub.asked == [("some/one", {"revision": "v9", "timeout": 5.0})]


def test_an_invalid_hub_id_is_refused():
    with pytest.raises(ModelNotFoundError, match="not a valid hub id"):
        Backend.load("some one/mo del")


def test_a_download_that_was_interrupted_is_taken_up_again(hub, monkeypatch, checkpoint):
    monkeypatch.setattr(locating, "snapshot_download", lambda *a, **k: str(checkpoint))
    assert locating.locate("some/one", None, None) == (str(checkpoint), None)
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelNotFoundError, match="not whole"):
        locating.locate("some/one", None, None)
    (checkpoint / "model-2.safetensors").touch()
    assert locating.locate("some/one", None, None) == (str(checkpoint), None)
    for file in checkpoint.glob("model*"):
        file.unlink()
    with pytest.raises(ModelNotFoundError, match="not whole"):
        locating.locate("some/one", None, None)


def test_what_was_downloaded_is_taken_before_what_is_pinned(hub, monkeypatch, checkpoint):
    pinned = find("smolvlm-256m").revision

    def cached(source, revision=None, local_files_only=False):
        if revision == pinned:
            raise LocalEntryNotFoundError("another revision is here")
        return str(checkpoint)

    monkeypatch.setattr(locating, "snapshot_download", cached)
    row = find("smolvlm-256m")
    with pytest.warns(MemVRWarning, match=f"not in the revision {pinned}"):
        assert locating.locate("smolvlm-256m", row, None) == (str(checkpoint), None)
    assert locating.locate("smolvlm-256m", row, "main") == (str(checkpoint), None)


def test_the_pin_is_what_the_hub_is_asked_for(hub):
    hub.error = RevisionNotFoundError("no", response=RESPONSE)
    with pytest.raises(ModelNotFoundError, match="revision='main' takes the newest"):
        Backend.load("qwen2.5-vl-7b")
    assert hub.asked[0][1]["revision"] == find("qwen2.5-vl-7b").revision


def test_a_download_is_logged(hub, monkeypatch, caplog):
    monkeypatch.setattr(locating, "model_info", lambda *args, **options: None)
    with caplog.at_level(logging.INFO, logger="memvr_integrations"):
        assert locating.locate("some/one", None, "v2") == ("some/one", "v2")
    assert caplog.messages == ["some/one is not on this machine: downloading v2"]
