"""Training for the blindfold: the same arithmetic as in use, and gradients through it."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from memvr_integrations.bundled.asker import Talk
from memvr_integrations.bundled.blindfold_stage import (
    BLINDFOLDED,
    LAYER,
    BlindfoldStage,
    covered,
    retraced,
)
from memvr_integrations.bundled.joint_stage import JointStage, answer_logits
from memvr_integrations.bundled.model import build_processor, open_tokenizer
from memvr_integrations.bundled.questions import Turn
from memvr_integrations.bundled.slots import in_slots
from memvr_integrations.bundled.trainer import TrainConfig
from memvr_integrations.bundled.vision_stage import clear_pixels
from memvr_integrations.memvr import blindfolded, retracing

TINY = TrainConfig(
    steps=3, cooldown=1, batch=2, fresh=0.5, peak_lr=1e-3, turns=3, layers=LAYER + 2, width=32,
    heads=2, precision="float32",
)  # fmt: skip


@pytest.fixture
def stage(tmp_path):
    """A stage behind a joint one."""
    open_tokenizer().save_pretrained(tmp_path)
    JointStage(TINY, tmp_path).save()
    stage = BlindfoldStage(TINY, tmp_path)
    stage.resume()
    return stage


def test_it_starts_from_the_joint_stage_with_one_ffn_louder_and_centered_tokens(stage):
    joint = torch.load(stage.folder / "joint.pt")["average"]
    changed = {n for n, v in stage.net.state_dict().items() if not torch.equal(v, joint[n])}
    bias = "llava.model.multi_modal_projector.linear_2.bias"
    assert changed == {f"llava.model.language_model.layers.{LAYER}.mlp.down_proj.weight", bias}
    removed = joint[bias] - stage.net.state_dict()[bias]
    with torch.inference_mode():
        _, features = stage.net.see(clear_pixels(stage.scenes.batch(random.Random(0), 16, 1.0)))
    assert features.mean((0, 1)).norm() < removed.norm() / 2


def test_a_step_moves_the_weights_and_leaves_no_hook(stage):
    before = {name: value.clone() for name, value in stage.net.state_dict().items()}
    assert stage.one_step()["loss"] > 0
    moved = {n for n, v in stage.net.state_dict().items() if not torch.equal(v, before[n])}
    assert any("language_model" in name for name in moved)
    ffn = stage.work.llava.model.language_model.layers[LAYER].mlp
    assert not ffn._forward_hooks


def test_only_questions_about_the_own_picture_are_asked(stage):
    scenes = stage.scenes.batch(random.Random(0), 6, 1.0)
    rows = stage.talks(scenes, random.Random(0))
    assert {talk.pictures for row in rows for talk in row} == {1}


def test_training_computes_what_a_blindfolded_model_that_retraces_computes(stage, scenes):
    model, packer = stage.net.llava.eval(), stage.packer
    processor = build_processor(stage.tokenizer)
    talk = Talk(turns=(Turn("What do you see?", "A cow."),))
    answer = packer.encode(" A cow.")
    text = "<s>USER: <image>\nWhat do you see? ASSISTANT: A cow.</s>"
    inputs = processor(
        images=[scenes[0].pixels], text=text, return_tensors="pt", add_special_tokens=False
    )
    packed = in_slots(packer, [packer.row_of([talk])] * 2, shortest=16)
    blind = torch.tensor([True, True])
    with torch.inference_mode():
        _, features = stage.net.see(clear_pixels(list(scenes[:2])))
        ratios = torch.full((2,), BLINDFOLDED.retracing_ratio)
        real = torch.cat([torch.ones(2, packer.prefix, dtype=torch.bool), packed.labels > -200], 1)
        # All of a row counts in the scale, so its padding must not.
        real[:, packer.prefix :] = packed.segments < 10_000
        hidden = covered(packed, blind, first=len(packer.before_image))
        with retraced(model, features, ratios, real):
            trained, _, _ = answer_logits(model, packer, features, hidden)
        plain, _, _ = answer_logits(model, packer, features, hidden)
        model.set_attn_implementation("sdpa")
        with blindfolded(model, from_layer=0), retracing(model, BLINDFOLDED):
            used = model(**inputs).logits[0, -len(answer) - 2 : -1]
    assert torch.allclose(trained[: len(answer) + 1], used, atol=1e-4)
    assert not torch.allclose(trained, plain, atol=1e-3)


def test_a_blindfold_hides_the_picture_and_nothing_else(stage, scenes):
    model, packer = stage.net.llava.eval(), stage.packer
    talk = Talk(turns=(Turn("What do you see?", "A cow."),))
    packed = in_slots(packer, [packer.row_of([talk])] * 2)
    half = covered(packed, torch.tensor([True, False]), first=len(packer.before_image))
    with torch.inference_mode():
        _, features = stage.net.see(clear_pixels(list(scenes[:2])))
        shown, _, _ = answer_logits(model, packer, features, half)
        other, _, _ = answer_logits(model, packer, features.flip(0), half)
    size = len(shown) // 2
    assert torch.equal(shown[:size], other[:size])
    assert not torch.allclose(shown[size:], other[size:], atol=1e-4)


def test_it_learns_from_what_it_cannot_attend_to(stage):
    """Gradients reach the projector though no row may look."""
    stage.config = replace(stage.config, batch=2)

    class Always(random.Random):
        def random(self):
            return 0.0  # always blindfolded

    scenes = stage.scenes.batch(random.Random(0), 2, 1.0)
    packed = in_slots(
        stage.packer, [stage.packer.row_of(t) for t in stage.talks(scenes, random.Random(0))]
    )
    _, features = stage.work.see(clear_pixels(scenes))
    logits, targets, _ = stage.answer(features, packed, Always())
    torch.nn.functional.cross_entropy(logits, targets).backward()
    gradient = stage.work.llava.model.multi_modal_projector.linear_1.weight.grad
    assert gradient.abs().sum() > 0


def test_it_is_measured_seeing_and_blindfolded(stage, monkeypatch):
    from memvr_integrations.bundled import marking

    monkeypatch.setattr(marking, "_SCENES", 4)
    monkeypatch.setattr(marking, "_BATCH", 4)
    figures = stage.measure()
    assert {"random", "blind random", "blind count", "count"} <= set(figures)
    assert np.isfinite(list(figures.values())).all()
