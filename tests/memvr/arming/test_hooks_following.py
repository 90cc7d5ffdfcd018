"""Following what runs inside an armed model, through every way to call it."""

import pytest
import torch
from memvr_models import (
    ALWAYS,
    NEVER,
    SOMETIMES,
    batch,
    generate,
    going_on,
    prompt,
    shallow_llava,
    triggers,
)

from memvr_integrations.memvr import (
    ReuseProbe,
    Screen,
    StrictProbe,
    VisualMemory,
    choosing,
    retracing,
)


@pytest.fixture
def model():
    return shallow_llava()


def test_a_trigger_changes_the_answer(model):
    plain = generate(model, prompt([0], 8))
    with retracing(model, ALWAYS) as trace:
        retraced = generate(model, prompt([0], 8))
    assert triggers(trace) == [6] * 4
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
    triggered = [row.trigger_layer for step in steps for row in step.rows]
    assert len(set(triggered)) > 2
    for step, free in zip(steps, steps_free, strict=True):
        for row, row_free in zip(step.rows, free.rows, strict=True):
            assert row.entropies == row_free.entropies
            assert row.trigger_layer == row_free.trigger_layer


def test_early_exit_stops_probing(model):
    with retracing(model, ALWAYS) as trace:
        generate(model, prompt([0], 8))
    assert list(trace.steps[0].rows[0].entropies) == [6]


def test_nan_entropy_never_triggers(model):
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


def test_each_kind_of_probe_decides_alike(model):
    head = model.lm_head
    screen, runs = Screen(head.weight, None), []
    for probe in ("exact", StrictProbe(head, screen), ReuseProbe(head, screen)):
        with retracing(model, SOMETIMES, probe=probe) as trace:
            ids, _ = generate(model, prompt([0], 8))
        runs.append((ids.tolist(), triggers(trace)))
    assert runs[0] == runs[1] == runs[2]


def test_a_kind_of_probe_by_name(model, monkeypatch):
    monkeypatch.setattr(choosing, "_SMALL", 0)
    runs = []
    for probe in ("exact", "strict", "reuse"):
        with retracing(model, SOMETIMES, probe=probe) as trace:
            generate(model, prompt([0], 8))
        runs.append([step.rows[0].entropies for step in trace.steps])
    assert runs[1] == [pytest.approx(row, abs=2e-5) for row in runs[0]]
    assert runs[2] != runs[0]


# -- ways to call it


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
            out = model(input_ids=token.view(1, 1), **going_on(out))
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


# -- whose images


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
    assert triggers(trace) == [6, 6] + [None] * 5
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
