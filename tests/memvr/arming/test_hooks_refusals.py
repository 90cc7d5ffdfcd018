"""What an armed model can't follow: refused, or run plain with a warning."""

import warnings

import pytest
import torch
from memvr_models import (
    ALWAYS,
    IMAGE_TOKEN,
    batch,
    generate,
    going_on,
    prompt,
    shallow_llava,
    triggers,
)

from memvr_integrations.errors import ArmingError, MemVRWarning, UnsupportedModelError
from memvr_integrations.memvr import MemVRConfig, VisualMemory, retracing


@pytest.fixture
def model():
    return shallow_llava()


# -- warnings


def test_an_image_token_without_its_image_warns(model):
    inputs = prompt([0], 8)
    del inputs["pixel_values"]
    with retracing(model, ALWAYS) as trace, pytest.warns(MemVRWarning, match="runs plain"):
        generate(model, inputs, 2)
    assert trace.retraced == 0


def test_an_earlier_image_does_not_stand_in_for_a_missing_one(model):
    inputs = prompt([0], 8)
    text = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    plain = generate(model, text, 2)
    with retracing(model, ALWAYS):
        generate(model, inputs, 2)
        with pytest.warns(MemVRWarning, match="runs plain"):
            after = generate(model, text, 2)
    assert torch.equal(plain[1], after[1])


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_useless_features_warn_and_never_trigger(model, value):
    inputs = prompt([0], 8)
    plain = generate(model, inputs, 2)
    memory = VisualMemory.from_rows([[torch.full((16, 64), value)]])
    with (
        retracing(model, ALWAYS, memory=memory) as trace,
        pytest.warns(MemVRWarning, match="all zero or not finite"),
    ):
        armed = generate(model, inputs, 2)
    assert torch.equal(plain[1], armed[1])
    assert triggers(trace) == [None, None]


def test_nothing_warns_when_all_is_well(model):
    with warnings.catch_warnings(), retracing(model, ALWAYS):
        warnings.simplefilter("error")
        generate(model, batch([prompt([0], 8), prompt([], 3)]), 2)


# -- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_cache": False}, "use_cache=False"),
        ({"prefill_chunk_size": 8}, "prefill_chunk_size"),
        ({"guidance_scale": 2.0}, "cache of its own"),
    ],
)
def test_what_cannot_be_followed_is_refused(model, options, message):
    with retracing(model, ALWAYS), pytest.raises(ArmingError, match=message):
        generate(model, prompt([0], 8), 3, **options)


def test_embeddings_need_a_memory(model):
    inputs = prompt([0], 8)
    with torch.no_grad(), retracing(model, ALWAYS) as trace:
        expected = model(**inputs).logits
        embeds = model.get_input_embeddings()(inputs["input_ids"])
        embeds[inputs["input_ids"] == IMAGE_TOKEN] = trace.memory.features[0]
        with pytest.raises(ArmingError, match="inputs_embeds"):
            model(inputs_embeds=embeds)
    with torch.no_grad(), retracing(model, ALWAYS, memory=trace.memory):
        out = model(inputs_embeds=embeds).logits
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


def test_a_cache_filled_before_needs_a_memory(model):
    inputs = prompt([0], 8)
    ids, cut = inputs["input_ids"], 22
    config = MemVRConfig(entropy_threshold=0.0, retracing_ratio=0.3, scope="last")
    with torch.no_grad():
        with retracing(model, config) as trace:
            expected = model(**inputs).logits[0, -1]

        def prefix():
            head = {"input_ids": ids[:, :cut], "pixel_values": inputs["pixel_values"]}
            return going_on(model(**head, use_cache=True))

        cache = prefix()
        with retracing(model, config), pytest.raises(ArmingError, match="memory="):
            model(input_ids=ids[:, cut:], **cache)
        cache = prefix()
        with retracing(model, config), pytest.raises(ArmingError, match="memory="):
            model.generate(input_ids=ids, **cache, max_new_tokens=1)
        cache = prefix()
        with retracing(model, config, memory=trace.memory) as resumed:
            out = model(input_ids=ids[:, cut:], **cache).logits[0, -1]
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)
    assert triggers(resumed) == [6]


def test_several_positions_after_a_prompt_are_refused(model):
    with retracing(model, ALWAYS), torch.no_grad():
        out = model(**prompt([0], 8))
        with pytest.raises(ArmingError, match="drafts or more prompt"):
            model(input_ids=torch.tensor([[3, 4]]), **going_on(out))


def test_the_decoder_alone_is_refused(model):
    with (
        retracing(model, ALWAYS),
        torch.no_grad(),
        pytest.raises(ArmingError, match="Call the whole model"),
    ):
        model.model.language_model(input_ids=torch.tensor([[3, 4]]))


def test_ffns_that_are_bypassed_are_noticed(model, monkeypatch):
    ffn = type(model.model.language_model.layers[7].mlp)
    monkeypatch.setattr(ffn, "__call__", lambda self, *args: self.forward(*args), raising=False)
    with (
        torch.no_grad(),
        retracing(model, ALWAYS),
        pytest.raises(UnsupportedModelError, match="was not retraced"),
    ):
        model(**prompt([0], 8))
