"""Arming a model, following what runs inside, and leaving it as it was."""

import copy
import threading
import warnings

import pytest
import torch
from memvr_models import IMAGE_TOKEN, batch, generate, prompt, tiny_llava, triggers
from transformers import DynamicCache

from memvr_integrations.errors import ArmingError, ConfigError, MemVRWarning, UnsupportedModelError
from memvr_integrations.memvr import MemVRConfig, VisualMemory, retracing

ALWAYS = MemVRConfig(entropy_threshold=0.0, retracing_ratio=0.3)
NEVER = MemVRConfig(entropy_threshold=1.5, retracing_ratio=0.3)
SOMETIMES = MemVRConfig(entropy_threshold=0.75, retracing_ratio=0.3)


@pytest.fixture
def model():
    return tiny_llava()


def state_of(model):
    return [
        (name, {key: copy.copy(value) for key, value in vars(module).items()})
        for name, module in model.named_modules()
    ]


def test_a_trigger_changes_the_answer(model):
    plain = generate(model, prompt([0], 8))
    with retracing(model, ALWAYS) as trace:
        retraced = generate(model, prompt([0], 8))
    assert triggers(trace) == [6] * 6
    assert (plain[1] - retraced[1]).abs().max() > 0.1


@pytest.mark.parametrize("sync_free", [False, True])
@pytest.mark.parametrize("config", [None, [None], NEVER])
def test_off_or_never_triggered_is_the_plain_model_bit_for_bit(model, config, sync_free):
    inputs = prompt([0, 1], 8)
    plain = generate(model, inputs)
    with retracing(model, config, sync_free=sync_free) as trace:
        armed = generate(model, inputs)
    assert torch.equal(plain[0], armed[0])
    assert torch.equal(plain[1], armed[1])
    assert trace.retraced == 0


def test_sync_free_equals_early_exit_bit_for_bit(model):
    inputs = batch([prompt([0], 8), prompt([1, 2], 3), prompt([], 20), prompt([3], 1)])
    results = []
    for sync_free in (False, True):
        with retracing(model, SOMETIMES, sync_free=sync_free, keep_where=True) as trace:
            results.append((*generate(model, inputs), trace.steps))
    (ids, logits, steps), (ids_free, logits_free, steps_free) = results
    assert torch.equal(ids, ids_free)
    assert torch.equal(logits, logits_free)
    fired = [row.trigger_layer for step in steps for row in step.rows]
    assert len(set(fired)) > 2
    for step, free in zip(steps, steps_free, strict=True):
        for row, row_free in zip(step.rows, free.rows, strict=True):
            assert row.entropies == row_free.entropies
            assert row.trigger_layer == row_free.trigger_layer


def test_early_exit_stops_probing(model):
    with retracing(model, ALWAYS) as trace:
        generate(model, prompt([0], 8))
    assert list(trace.steps[0].rows[0].entropies) == [6]


def test_a_direct_call_equals_generate(model):
    inputs = prompt([0], 8)
    with retracing(model, ALWAYS) as trace:
        _, logits = generate(model, inputs, 1)
    with retracing(model, ALWAYS) as direct, torch.no_grad():
        out = model(**inputs)
    # generate() runs the head over one position alone, which may differ in the last bit.
    torch.testing.assert_close(logits[0, 0], out.logits[0, -1], rtol=0, atol=1e-5)
    assert direct.steps == trace.steps


def test_a_loop_of_direct_calls_equals_generate(model):
    inputs = prompt([0], 8)
    with retracing(model, SOMETIMES) as trace:
        ids, logits = generate(model, inputs, 4)
    with retracing(model, SOMETIMES) as direct, torch.no_grad():
        out = model(**inputs)
        for token in ids[0, :3]:
            out = model(input_ids=token.view(1, 1), past_key_values=out.past_key_values)
    torch.testing.assert_close(out.logits[0, -1], logits[0, -1], rtol=0, atol=1e-5)
    assert triggers(direct) == triggers(trace)


def test_positional_arguments_are_seen(model):
    inputs = prompt([0], 8)
    with retracing(model, ALWAYS) as trace, torch.no_grad():
        model(inputs["input_ids"], inputs["pixel_values"])
        model.generate(inputs.pop("input_ids"), **inputs, max_new_tokens=1)
    assert [step.rows[0].trigger_layer for step in trace.steps] == [6, 6]


def test_features_that_were_encoded_before_are_seen(model):
    inputs = prompt([0, 1], 8)
    with retracing(model, ALWAYS):
        expected = generate(model, inputs)
    with torch.no_grad():
        encoded = model.get_image_features(inputs.pop("pixel_values"), return_dict=True)
    with retracing(model, ALWAYS) as trace:
        _, logits = generate(model, inputs | {"mm_encoder_outputs": {"image": encoded}})
    torch.testing.assert_close(logits, expected[1], rtol=0, atol=1e-5)
    assert trace.memory.images == ((16, 16),)


def test_candidates_decide_as_the_whole_head_where_they_hold_it(model):
    runs = []
    for probe in ("exact", "candidates"):
        with retracing(model, SOMETIMES, probe=probe) as trace:
            ids, _ = generate(model, prompt([0], 8))
        runs.append((ids.tolist(), triggers(trace)))
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("config", "probe"),
    [
        (MemVRConfig(uncertainty="vocabulary"), "candidates"),
        ([ALWAYS, MemVRConfig(ending_layer=12)], "candidates"),
        (ALWAYS, "guess"),
    ],
)
def test_a_probe_that_does_not_fit(model, config, probe):
    with pytest.raises(ConfigError, match="probe="), retracing(model, config, probe=probe):
        pass


def test_another_images_tokens_can_take_their_place(model):
    with retracing(model, ALWAYS) as trace:
        own = generate(model, batch([prompt([0], 8), prompt([1], 8)]), 2)
    for order, same in ([0, 1], True), ([1, 0], False):
        with retracing(model, ALWAYS, memory=trace.memory.select(order)):
            other = generate(model, batch([prompt([0], 8), prompt([1], 8)]), 2)
        assert torch.equal(own[1], other[1]) == same


def test_text_only_after_an_image_is_plain(model):
    text = prompt([], 12)
    plain = generate(model, text)
    with torch.no_grad():
        plain_call = model(input_ids=text["input_ids"])
        with retracing(model, ALWAYS) as trace:
            generate(model, prompt([0], 8), 2)
            after = generate(model, text)
            call_after = model(input_ids=text["input_ids"])
    assert torch.equal(plain[1], after[1])
    assert torch.equal(plain_call.logits, call_after.logits)
    assert triggers(trace) == [6, 6] + [None] * 7
    assert trace.memory is None


def test_a_one_token_text_after_an_image_is_not_its_next_token(model):
    one = torch.tensor([[5]])
    with torch.no_grad():
        plain = model(input_ids=one).logits
        with retracing(model, ALWAYS):
            model(**prompt([0], 8))
            after = model(input_ids=one).logits
    assert torch.equal(plain, after)


def test_a_new_image_replaces_the_old_one(model):
    with retracing(model, ALWAYS):
        alone = generate(model, prompt([1], 8))
    with retracing(model, ALWAYS):
        generate(model, prompt([0], 8), 2)
        after = generate(model, prompt([1], 8))
    assert torch.equal(alone[1], after[1])


def test_both_images_of_a_prompt_are_used(model):
    with retracing(model, ALWAYS, keep_where=True) as trace:
        _, both = generate(model, prompt([0, 3], 8), 1)
    where = trace.steps[0].rows[0].where
    assert [len(image) for image in where] == [16, 16]
    assert sum(image.sum() for image in where).item() == pytest.approx(1, abs=1e-5)
    assert all(image.sum() > 0.05 for image in where)
    memory = trace.memory
    for images in ([memory.features[0, :16]], [memory.features[0, 16:]]):
        with retracing(model, ALWAYS, memory=VisualMemory.from_rows([images])):
            _, one = generate(model, prompt([0, 3], 8), 1)
        assert (one - both).abs().max() > 1e-3


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
def test_useless_features_warn_and_never_fire(model, value):
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


def test_nan_entropy_never_fires(model):
    inputs = prompt([0], 8)
    head = model.lm_head.weight.data
    kept = head.clone()
    try:
        head[7] = float("nan")
        with retracing(model, ALWAYS) as trace, torch.no_grad():
            model(**inputs)
    finally:
        head.copy_(kept)
    row = trace.steps[0].rows[0]
    assert row.trigger_layer is None
    assert len(row.entropies) == 10


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
            return model(**head, past_key_values=DynamicCache()).past_key_values

        cache = prefix()
        with retracing(model, config), pytest.raises(ArmingError, match="memory="):
            model(input_ids=ids[:, cut:], past_key_values=cache)
        cache = prefix()
        with retracing(model, config), pytest.raises(ArmingError, match="memory="):
            model.generate(input_ids=ids, past_key_values=cache, max_new_tokens=1)
        cache = prefix()
        with retracing(model, config, memory=trace.memory) as resumed:
            out = model(input_ids=ids[:, cut:], past_key_values=cache).logits[0, -1]
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)
    assert triggers(resumed) == [6]


def test_several_positions_after_a_prompt_are_refused(model):
    with retracing(model, ALWAYS), torch.no_grad():
        out = model(**prompt([0], 8))
        with pytest.raises(ArmingError, match="drafts or more prompt"):
            model(input_ids=torch.tensor([[3, 4]]), past_key_values=out.past_key_values)


def test_the_decoder_alone_is_refused(model):
    with (
        retracing(model, ALWAYS),
        torch.no_grad(),
        pytest.raises(ArmingError, match="Call the whole model"),
    ):
        model.model.language_model(input_ids=torch.tensor([[3, 4]]))


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


def test_ffns_that_are_bypassed_are_noticed(model, monkeypatch):
    ffn = type(model.model.language_model.layers[7].mlp)
    monkeypatch.setattr(ffn, "__call__", lambda self, *args: self.forward(*args), raising=False)
    with (
        torch.no_grad(),
        retracing(model, ALWAYS),
        pytest.raises(UnsupportedModelError, match="was not retraced"),
    ):
        model(**prompt([0], 8))
