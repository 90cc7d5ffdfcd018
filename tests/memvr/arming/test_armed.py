"""One arming for the life of a model, driven by its owner: the same decisions as `retracing`."""

import copy
import functools

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
)

from memvr_integrations.errors import ArmingError, ConfigError, MemVRWarning, UnsupportedModelError
from memvr_integrations.memvr import MemVRConfig, retracing
from memvr_integrations.memvr.arming.armed import ArmedModel
from memvr_integrations.memvr.choosing import choose_probe
from memvr_integrations.memvr.frames import Frame

TOKENS = 5
SILU = MemVRConfig(
    entropy_threshold=0.7, retracing_ratio=0.5, activation="silu", norm_before_head=False
)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture
def model():
    shared = shallow_llava()
    shared(**prompt([0], 1))  # transformers adds hooks of its own in the first call
    return shared


@pytest.fixture
def armed(model):
    made = ArmedModel(model, functools.partial(exact_probe, model))
    yield made
    made.detach()


def exact_probe(model, config):
    return choose_probe("exact", model.lm_head, form=config.uncertainty)


def images_of(model, rows):
    """Each row's visual tokens."""
    found = []
    for row in rows:
        shown = row.get("pixel_values")
        features = model.get_image_features(pixel_values=shown) if shown is not None else []
        found.append(list(getattr(features, "pooler_output", features)))
    return found


def decode(model, armed, rows, configs):
    """Decode greedily; the logits of each step, and what was decided in it."""
    inputs = batch(rows)
    plan = armed.plan(images_of(model, rows), configs)
    config = next((config for config in configs if config), None)
    width = inputs["input_ids"].shape[1]
    real = inputs["attention_mask"].bool()
    frame = Frame(width=width, prompt=width, real=None if real.all() else real)
    logits, steps, mask = [], [], inputs["attention_mask"]
    inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp_min(0)
    for _ in range(TOKENS):
        if plan is None:
            out = model(**inputs, use_cache=True)
        else:
            with armed.acting(plan, config, frame) as acted:
                out = model(**inputs, use_cache=True)
            steps += acted.record().steps()
        logits.append(out.logits[:, -1])
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        inputs = {"input_ids": logits[-1].argmax(-1)[:, None], "attention_mask": mask}
        inputs |= going_on(out)
        inputs["position_ids"] = mask.sum(-1, keepdim=True) - 1
        frame = Frame(width=1)
    return torch.stack(logits, 1), steps


def state_of(model):
    return [
        (name, {key: copy.copy(value) for key, value in vars(module).items()})
        for name, module in model.named_modules()
    ]


def test_detaching_leaves_the_model_as_it_was(model):
    before = state_of(model)
    armed = ArmedModel(model, functools.partial(exact_probe, model))
    decode(model, armed, [prompt([0], 8)], [ALWAYS])
    armed.detach()
    assert state_of(model) == before
    armed.detach()


def test_outside_of_acting_it_is_the_plain_model(model):
    plain = generate(model, prompt([0], 8))[1]
    armed = ArmedModel(model, functools.partial(exact_probe, model))
    assert torch.equal(generate(model, prompt([0], 8))[1], plain)
    decode(model, armed, [prompt([0], 8)], [ALWAYS])
    assert torch.equal(generate(model, prompt([0], 8))[1], plain)
    armed.detach()


@pytest.mark.parametrize("config", [NEVER, ALWAYS])
def test_what_never_triggers_is_the_plain_model_bit_for_bit(model, armed, config):
    row = prompt([0], 8)
    plain, _ = decode(model, armed, [row], [None])
    logits, steps = decode(model, armed, [row], [config])
    assert all(step.rows[0].entropies for step in steps)
    assert torch.equal(logits, plain) == (config is NEVER)


def test_rows_without_memvr_or_an_image_have_no_plan(model, armed):
    assert armed.plan([[], []], [ALWAYS, None]) is None
    assert armed.plan(images_of(model, [prompt([0], 3)]), [None]) is None
    blank = [[torch.zeros(16, model.get_input_embeddings().weight.shape[-1])]]
    with pytest.warns(MemVRWarning, match="all zero"):
        plan = armed.plan(blank, [ALWAYS])
    assert plan.layers == ()


@pytest.mark.parametrize("config", [SOMETIMES, ALWAYS, SILU], ids=["some", "all", "silu"])
@pytest.mark.parametrize(
    "rows",
    [[prompt([0], 8)], [prompt([0], 8), prompt([1, 2], 3, 1), prompt([], 20, 2)]],
    ids=["one", "padded"],
)
def test_it_decides_as_retracing_does(model, armed, rows, config):
    with retracing(model, [config] * len(rows)) as trace:
        ids, expected = generate(model, batch(rows), TOKENS)
    logits, steps = decode(model, armed, rows, [config] * len(rows))
    assert torch.equal(logits.argmax(-1), ids)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    assert len(steps) == len(trace.steps) == TOKENS
    for one, other in zip(steps, trace.steps, strict=True):
        assert one.prompt == other.prompt
        for mine, theirs in zip(one.rows, other.rows, strict=True):
            assert mine.trigger_layer == theirs.trigger_layer
            assert mine.entropies == pytest.approx(theirs.entropies, abs=1e-5)
    assert any(row.trigger_layer is not None for step in steps for row in step.rows)


def test_rows_of_other_settings_and_none_share_a_pass(model, armed):
    rows = [prompt([0], 8), prompt([1], 8, 1), prompt([2], 8, 2)]
    configs = [SOMETIMES, None, SOMETIMES.changed({"entropy_threshold": 0.1})]
    together, steps = decode(model, armed, rows, configs)
    for at, (row, config) in enumerate(zip(rows, configs, strict=True)):
        if config is None:
            alone = generate(model, row, TOKENS)[1]
            assert all(not step.rows[at].entropies for step in steps)
        else:
            alone, own = decode(model, armed, [row], [config])
            assert [step.rows[at].trigger_layer for step in steps] == [
                step.rows[0].trigger_layer for step in own
            ]
        torch.testing.assert_close(together[at : at + 1], alone, atol=1e-4, rtol=0)


def test_formulas_of_one_model_take_turns(model, armed):
    row = prompt([0], 8)
    first = [decode(model, armed, [row], [config]) for config in (SOMETIMES, SILU)]
    again = [decode(model, armed, [row], [config]) for config in (SOMETIMES, SILU)]
    for (one, _), (other, _) in zip(first, again, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(first[0][0], first[1][0])


def test_a_pass_with_other_rows_than_its_plan_is_refused_and_forgotten(model, armed):
    row = prompt([0], 8)
    plain = generate(model, row)[1]
    plan = armed.plan(images_of(model, [row]), [ALWAYS]).take([0, 0])
    width = row["input_ids"].shape[1]
    frame = Frame(width=width, prompt=width)
    with (
        pytest.raises(ArmingError, match="has 1 rows, its plan 2"),
        armed.acting(plan, ALWAYS, frame),
    ):
        model(**row)
    assert torch.equal(generate(model, row)[1], plain)


def test_a_pass_whose_layers_never_ran_is_reported(model, armed):
    row = prompt([0], 8)
    plan = armed.plan(images_of(model, [row]), [ALWAYS])
    with (
        pytest.raises(UnsupportedModelError, match="without calling its decoder layers"),
        armed.acting(plan, ALWAYS, Frame(width=1)),
    ):
        pass


def test_features_of_another_width_and_windows_beyond_are_refused(model, armed):
    with pytest.raises(UnsupportedModelError, match="3 wide"):
        armed.plan([[torch.ones(4, 3)]], [ALWAYS])
    beyond = MemVRConfig(starting_layer=2, ending_layer=90)
    with pytest.raises(ConfigError, match="ending_layer=90"):
        armed.plan(images_of(model, [prompt([0], 8)]), [beyond])
