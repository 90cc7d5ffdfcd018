"""Which model a backend is."""

import copy
from dataclasses import replace

import pytest
import torch

from memvr_integrations.backend import Backend, Message, Request, SamplingParams
from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import load_model, origin_here
from memvr_integrations.bundled import ABSTENTION

SHORT = SamplingParams(max_tokens=2)


def test_the_key_is_known_before_the_weights_are_loaded():
    with Backend.load("bundled", device="cpu", progress=False) as whole:
        known = whole.identity
        assert (known.name, known.durable, whole.abstention) == ("bundled", True, ABSTENTION)
    assert origin_here("bundled", LoadConfig(device="cpu")).key() == known.key
    assert whole.identity == known  # closed


def test_a_model_that_was_built_in_memory_has_a_key_of_its_own(loaded):
    with Backend(replace(loaded, origin=None)) as one, Backend(replace(loaded, origin=None)) as two:
        assert one.identity == one.identity != two.identity
        assert not one.identity.durable
        assert one.abstention is None  # its row is what somebody said


@pytest.mark.parametrize("write", ["add_", "data"])
def test_a_model_that_is_trained_on_in_memory_is_no_longer_its_files(checkpoint, write):
    with Backend.load(checkpoint, device="cpu", progress=False) as made:
        before, weight = made.identity, next(made.model.parameters())
        made.generate(Request(messages=(Message("user", "Hi"),), sampling=SHORT))
        assert made.identity == before
        if write == "data":
            weight.data = weight.data + 1
        else:
            with torch.no_grad():
                weight.add_(1)
        assert made.identity.key != before.key
        assert not made.identity.durable


def test_another_model_in_its_place_is_not_it(loaded):
    with Backend(replace(loaded, model=copy.deepcopy(loaded.model))) as made:
        assert not made.identity.durable
        assert made.abstention is None


def test_the_same_files_under_another_preset_are_another(checkpoint, backend):
    found = load_model(checkpoint, LoadConfig(device="cpu", progress=False))
    with Backend(found) as made:
        key = made.identity.key
        assert key not in (backend.identity.key, None)
        assert key == origin_here(str(checkpoint), LoadConfig(device="cpu")).key()
        assert made.abstention is None


def test_files_that_changed_meanwhile_are_not_what_is_in_memory(checkpoint):
    with Backend.load(checkpoint, device="cpu", progress=False) as made:
        (checkpoint / "chat_template.jinja").write_text("{{ messages }}")
        assert not made.identity.durable
        assert made.identity == made.identity
