"""Arming a model: with settings that fit, once at a time, and leaving it as it was."""

import copy
import threading

import pytest
import torch
from memvr_models import ALWAYS, NEVER, SOMETIMES, generate, prompt, tiny_llava, triggers

from memvr_integrations.errors import ArmingError, ConfigError
from memvr_integrations.memvr import MemVRConfig, retracing


@pytest.fixture
def model():
    shared = tiny_llava()
    with torch.no_grad():
        shared(**prompt([0], 1))  # transformers adds hooks of its own in the first call
    return shared


def state_of(model):
    return [
        (name, {key: copy.copy(value) for key, value in vars(module).items()})
        for name, module in model.named_modules()
    ]


def test_the_model_is_left_as_it_was(model):
    before = state_of(model)
    with retracing(model, ALWAYS):
        assert "generate" in vars(model)
        generate(model, prompt([0], 8), 2)
    assert state_of(model) == before


def test_the_model_is_left_as_it_was_after_an_exception(model):
    before = state_of(model)
    plain = generate(model, prompt([0], 8), 2)
    broken = prompt([0], 8)
    broken["input_ids"] = broken["input_ids"][:, :-20]
    broken["attention_mask"] = broken["attention_mask"][:, :-20]
    with pytest.raises(ValueError, match="do not match"), retracing(model, ALWAYS):
        generate(model, broken, 2)
    assert state_of(model) == before
    assert torch.equal(generate(model, prompt([0], 8), 2)[1], plain[1])
    with retracing(model, ALWAYS):
        pass


def test_a_failed_request_does_not_disturb_the_next(model):
    with retracing(model, ALWAYS):
        expected = generate(model, prompt([1], 8))
    with retracing(model, ALWAYS):
        with pytest.raises(ValueError, match="do not match"):
            generate(model, prompt([0], 8) | {"pixel_values": torch.zeros(2, 3, 56, 56)}, 2)
        after = generate(model, prompt([1], 8))
    assert torch.equal(expected[1], after[1])


def test_arming_twice_is_refused(model):
    with retracing(model, ALWAYS):
        with pytest.raises(ArmingError, match="armed already"), retracing(model, NEVER):
            pass
        with retracing(model, None):
            pass


def test_arming_from_another_thread_is_refused(model):
    seen = []

    def arm():
        try:
            with retracing(model, NEVER):
                pass
        except ArmingError as error:
            seen.append(str(error))

    with retracing(model, ALWAYS) as trace:
        thread = threading.Thread(target=arm)
        thread.start()
        thread.join()
        generate(model, prompt([0], 8), 2)
    assert len(seen) == 1
    assert triggers(trace) == [6, 6]


def test_a_second_generate_during_the_first_is_refused(model):
    def nested(ids, scores):
        generate(model, prompt([1], 4), 1)
        return scores

    with retracing(model, ALWAYS), pytest.raises(ArmingError, match="another generate"):
        generate(model, prompt([0], 8), 2, logits_processor=[nested])


def test_a_probe_that_there_is_not(model):
    with pytest.raises(ConfigError, match="probe="), retracing(model, ALWAYS, probe="guess"):
        pass


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (MemVRConfig(ending_layer=33), "beyond the model's 32 layers"),
        (MemVRConfig(starting_layer=30, ending_layer=32), "nothing to retrace"),
        ([SOMETIMES, MemVRConfig(activation="silu")], "activation"),
    ],
)
def test_settings_that_do_not_fit_are_refused_at_arming(model, config, message):
    with pytest.raises(ConfigError, match=message), retracing(model, config):
        pass
    assert "generate" not in vars(model)
