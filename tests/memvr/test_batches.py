"""Rows of a batch, beams, caches and drafts: each equals its row decoded alone."""

import dataclasses

import pytest
import torch
from memvr_models import batch, generate, going_on, prompt, shallow_llava, triggers
from transformers.generation.candidate_generator import CandidateGenerator

from memvr_integrations.errors import ArmingError
from memvr_integrations.memvr import MemVRConfig, ReuseProbe, Screen, retracing

CONFIG = MemVRConfig(entropy_threshold=0.8, retracing_ratio=0.3)
ROWS = [prompt([0], 8), prompt([], 30), prompt([1, 2], 3), prompt([3], 1), prompt([4, 0, 1], 5)]
VARIANTS = [
    {},
    {"scope": "last"},
    {"activation": "silu"},
    {"dynamic_ratio": True},
    {"uncertainty": "vocabulary", "entropy_threshold": 0.6},
    {"norm_before_head": False, "entropy_threshold": 0.9},
    {"control": "damping"},
]


def alone(inputs, config, **options):
    with retracing(shallow_llava(), config) as trace:
        ids, logits = generate(shallow_llava(), inputs, **options)
    return ids[0], logits[0], trace


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_each_row_of_a_mixed_batch_equals_that_row_alone(variant):
    config, rows = dataclasses.replace(CONFIG, **variant), ROWS[1:4] if variant else ROWS
    with retracing(shallow_llava(), config) as trace:
        ids, logits = generate(shallow_llava(), batch(rows))
    triggered = set()
    for row, inputs in enumerate(rows):
        own_ids, own_logits, own_trace = alone(inputs, config)
        assert ids[row].tolist() == own_ids.tolist()
        torch.testing.assert_close(logits[row], own_logits, rtol=0, atol=1e-4)
        assert triggers(trace, row) == triggers(own_trace)
        for step, own in zip(trace.steps, own_trace.steps, strict=True):
            assert step.rows[row].entropies == pytest.approx(own.rows[0].entropies, abs=2e-5)
        triggered |= set(triggers(trace, row))
    assert None in triggered
    assert len(triggered) > 1


def test_rows_of_different_windows_share_a_batch_under_a_probe_that_reuses():
    windows = [(5, 16), (9, 20), (2, 8)]
    configs = [
        dataclasses.replace(CONFIG, starting_layer=start, ending_layer=end)
        for start, end in windows
    ]
    rows = [ROWS[0], ROWS[2], ROWS[3]]
    head = shallow_llava().lm_head
    probe = ReuseProbe(head, Screen(head.weight, None), keep=20)
    with retracing(shallow_llava(), configs, probe=probe) as trace:
        generate(shallow_llava(), batch(rows))
    for row, (inputs, config) in enumerate(zip(rows, configs, strict=True)):
        with retracing(shallow_llava(), config, probe=probe) as own:
            generate(shallow_llava(), inputs)
        assert triggers(trace, row) == triggers(own)
        for step, single in zip(trace.steps, own.steps, strict=True):
            assert step.rows[row].entropies == pytest.approx(single.rows[0].entropies, abs=2e-5)


@pytest.mark.parametrize("scope", ["all", "last"])
def test_right_padding_decides_at_each_rows_last_real_position(scope):
    config, rows = dataclasses.replace(CONFIG, scope=scope), ROWS[:4]
    inputs = batch(rows, side="right")
    with retracing(shallow_llava(), config) as trace, torch.no_grad():
        logits = shallow_llava()(**inputs).logits
    for row, single in enumerate(rows):
        _, own, own_trace = alone(single, config, tokens=1)
        last = single["input_ids"].shape[1] - 1
        torch.testing.assert_close(logits[row, last], own[0], rtol=0, atol=1e-4)
        assert triggers(trace, row) == triggers(own_trace)
    assert trace.retraced


def test_settings_of_each_row():
    settings = [
        CONFIG,
        CONFIG,
        None,
        dataclasses.replace(CONFIG, starting_layer=9, ending_layer=20, retracing_ratio=0.1),
        dataclasses.replace(CONFIG, entropy_threshold=0.0, retracing_ratio=0.5),
    ]
    own = [alone(*one) for one in zip(ROWS, settings, strict=True)]
    results = []
    for sync_free in (False, True):
        with retracing(shallow_llava(), settings, sync_free=sync_free) as trace:
            results.append(generate(shallow_llava(), batch(ROWS)))
        for row, (own_ids, own_logits, own_trace) in enumerate(own):
            assert results[-1][0][row].tolist() == own_ids.tolist()
            torch.testing.assert_close(results[-1][1][row], own_logits, rtol=0, atol=1e-4)
            if settings[row] is not None:
                assert triggers(trace, row) == triggers(own_trace)
    assert torch.equal(results[0][1], results[1][1])
    assert trace.steps[0].rows[2].entropies == {}
    assert min(trace.steps[0].rows[3].entropies) == 10


def test_settings_that_do_not_divide_the_batch_are_refused():
    with (
        retracing(shallow_llava(), [CONFIG, CONFIG]),
        pytest.raises(ArmingError, match="3 rows, which is no multiple of the 2 rows"),
    ):
        generate(shallow_llava(), batch(ROWS[:3]))


def test_beams_of_a_batch_equal_those_of_each_row():
    settings, beams = [CONFIG, None, CONFIG], {"num_beams": 3, "tokens": 5}
    rows = [ROWS[0], ROWS[4], ROWS[2]]
    with retracing(shallow_llava(), settings) as trace:
        ids, _ = generate(shallow_llava(), batch(rows), **beams)
    assert trace.retraced
    assert len(trace.steps[0].rows) == 9
    assert all(row.entropies == {} for row in trace.steps[0].rows[3:6])
    for row, (inputs, config) in enumerate(zip(rows, settings, strict=True)):
        own, _, _ = alone(inputs, config, **beams)
        assert ids[row].tolist() == own.tolist()


def test_a_memory_of_the_prompts_serves_their_beams():
    beams = {"num_beams": 2, "tokens": 4}
    with retracing(shallow_llava(), CONFIG) as trace:
        generate(shallow_llava(), batch(ROWS[:3]), 1)
        memory = trace.memory
        own, _ = generate(shallow_llava(), batch(ROWS[:3]), **beams)
    with retracing(shallow_llava(), CONFIG, memory=memory):
        ids, _ = generate(shallow_llava(), batch(ROWS[:3]), **beams)
    assert ids.tolist() == own.tolist()
    with (
        retracing(shallow_llava(), CONFIG, memory=memory),
        pytest.raises(ArmingError, match="no multiple of the 3 rows of `memory`"),
    ):
        generate(shallow_llava(), batch(ROWS[:2]), 1)


def test_returned_sequences_carry_the_memory_of_their_prompt():
    rows = ROWS[:3]
    with retracing(shallow_llava(), CONFIG) as trace:
        ids, _ = generate(
            shallow_llava(),
            batch(rows),
            num_return_sequences=3,
            do_sample=True,
            temperature=1e-4,
        )
    for row, inputs in enumerate(rows):
        own, _, own_trace = alone(inputs, CONFIG)
        for copy in range(3):
            assert ids[3 * row + copy].tolist() == own.tolist()
            assert triggers(trace, 3 * row + copy) == triggers(own_trace)


@pytest.mark.parametrize("scope", ["all", "last"])
def test_a_static_cache_changes_nothing(scope):
    config = dataclasses.replace(CONFIG, scope=scope)
    results = []
    for options in ({}, {"cache_implementation": "static"}):
        with retracing(shallow_llava(), config) as trace:
            results.append((*generate(shallow_llava(), batch(ROWS), **options), trace))
    (ids, logits, dynamic), (static_ids, static_logits, static) = results
    assert torch.equal(ids, static_ids)
    torch.testing.assert_close(logits, static_logits, rtol=0, atol=1e-4)
    for row in range(len(ROWS)):
        assert triggers(dynamic, row) == triggers(static, row)


def test_eager_attention_changes_nothing():
    model = shallow_llava()
    ids, logits, trace = alone(ROWS[2], CONFIG)
    try:
        model.set_attn_implementation("eager")
        with retracing(model, CONFIG) as eager:
            padded = batch([ROWS[2], ROWS[4]])
            eager_ids, eager_logits = generate(model, padded, cache_implementation="static")
    finally:
        model.set_attn_implementation("sdpa")
    assert eager_ids[0].tolist() == ids.tolist()
    torch.testing.assert_close(eager_logits[0], logits, rtol=0, atol=1e-4)
    assert triggers(eager) == triggers(trace)


class Drafts(CandidateGenerator):
    """Drafts three tokens of a known answer, the third one wrong."""

    def __init__(self, answer):
        self.answer = answer

    def get_candidates(self, input_ids):
        at = input_ids.shape[1]
        drafts = self.answer[:, at : at + 3].clone()
        if drafts.shape[1] == 3:
            drafts[:, 2] = 5
        return torch.cat([input_ids, drafts], 1), None

    def update_candidate_strategy(self, *args):
        pass


@pytest.mark.parametrize("scope", ["all", "last"])
def test_drafts_are_each_their_own_decision(scope, monkeypatch):
    config, model = dataclasses.replace(CONFIG, scope=scope), shallow_llava()
    inputs = prompt([2], 6)
    ids, logits, trace = alone(inputs, config, tokens=9)
    drafts = Drafts(torch.cat([inputs["input_ids"], ids[None]], 1))
    monkeypatch.setattr(model, "_get_candidate_generator", lambda *a, **k: drafts, raising=False)
    with retracing(model, config) as assisted:
        fast_ids, fast_logits = generate(model, inputs, 9, prompt_lookup_num_tokens=3)
    assert fast_ids[0].tolist() == ids.tolist()
    torch.testing.assert_close(fast_logits[0], logits, rtol=0, atol=1e-4)
    # Forwards of four positions keep three, and of the drafts the third is wrong each time.
    assert [step.prompt for step in assisted.steps] == [True] + [False] * 11
    assert triggers(assisted)[:3] == triggers(trace)[:3]
    assert triggers(assisted)[4:7] == triggers(trace)[3:6]
    assert len(set(triggers(trace))) > 1


def test_rows_that_vanish_between_two_tokens_are_refused():
    with retracing(shallow_llava(), CONFIG), torch.no_grad():
        out = shallow_llava()(**batch(ROWS[:2]))
        with pytest.raises(ArmingError, match="from 2 to 1 rows"):
            shallow_llava()(input_ids=torch.tensor([[4]]), **going_on(out))
