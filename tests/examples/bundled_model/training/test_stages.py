"""The stages: training computes what inference computes, and each begins where it should."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from bundled_model.conversations.asker import Talk
from bundled_model.conversations.questions import Turn
from bundled_model.conversations.truths import caption
from bundled_model.training.model import build_processor, open_tokenizer, save
from bundled_model.training.packing import Packer
from bundled_model.training.slot_attention import in_slots
from bundled_model.training.stages.joint import JointStage
from bundled_model.training.stages.language import AlignStage, LanguageStage
from bundled_model.training.stages.vision import VisionStage, clear_pixels
from bundled_model.training.talker import answer_logits
from bundled_model.training.trainer import TrainConfig

from memvr_integrations.bundled.world import CLASSES, NUMBERS, plural, single
from memvr_integrations.errors import ModelLoadError

TINY = TrainConfig(
    steps=3, cooldown=1, batch=2, fresh=0.5, peak_lr=1e-3, turns=3,
    layers=2, width=32, heads=2, precision="float32",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A run's folder with a tokenizer: the one that ships, since making one takes long."""
    open_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_the_trained_tower_is_taken_over(folder):
    vision = VisionStage(TINY, folder)
    vision.save()
    stage = JointStage(TINY, folder)
    stage.resume()
    for name, value in vision.average.tower.state_dict().items():
        assert torch.equal(stage.net.tower.state_dict()[name], value)


def test_a_checkpoint_of_another_tokenizer_is_refused(folder, monkeypatch):
    JointStage(TINY, folder).save()
    other = JointStage(TINY, folder)
    monkeypatch.setattr(Packer, "vocabulary", ["a", "b"])
    with pytest.raises(ModelLoadError, match="another tokenizer"):
        other.resume()


def test_heads_that_were_kept_are_taken_up(folder, tmp_path):
    begun = tmp_path / "begun"
    first = JointStage(replace(TINY, seed=1), folder)
    save(first.net.llava, begun, first.tokenizer)
    first.save_heads(begun)
    second = JointStage(replace(TINY, init=begun), folder)
    second.resume()
    for name in ("heads", "readers"):
        kept = getattr(first.average, name).state_dict()
        assert all(v.equal(getattr(second.net, name).state_dict()[n]) for n, v in kept.items())


@pytest.mark.parametrize("pictures", [1, 2])
def test_training_computes_what_inference_computes(folder, scenes, pictures):
    """The same pictures and words, once through packed rows, once through the whole model."""
    stage = JointStage(TINY, folder)
    model = stage.net.llava.eval()
    packer, processor = stage.packer, build_processor(stage.tokenizer)
    shown = list(scenes[:2])
    talk = Talk(turns=(Turn("What do you see?", "A cow."),), pictures=pictures)
    rows = [packer.row_of([talk, Talk(turns=(Turn("Hm?", "No"),))])] * 2
    shown_as = ["<image>\n", "<image>\nthe second: <image>\n"][pictures - 1]
    text = f"<s>USER: {shown_as}What do you see? ASSISTANT: A cow.</s>"
    inputs = processor(
        images=[scene.pixels for scene in shown[:pictures]],
        text=text,
        return_tensors="pt",
        add_special_tokens=False,
    )
    with torch.inference_mode():
        _, features = stage.net.see(clear_pixels(shown))
        packed, targets, _ = answer_logits(model, packer, features, in_slots(packer, rows))
        answer = packer.encode(" A cow.")
        size = len(answer) + 1
        assert targets[:size].tolist()[:-1] == answer
        model.set_attn_implementation("sdpa")
        whole = model(**inputs).logits[0, -size - 1 : -1]
    assert torch.allclose(packed[:size], whole, atol=1e-4)


_AMOUNT = re.compile(
    r"(?:Yes, there is|No, there is|There is|There are) (an?|no|one|two|three|four) "
    r"(.+?)(?: in the picture)?\."
)


_ONE_OF_TWO = re.compile(r"The (first|second) picture has an? (.+)\.")


def test_every_row_is_true_of_its_own_scene_and_of_the_next(folder, scenes, monkeypatch):
    monkeypatch.setattr("bundled_model.training.stages.joint._PAIRED", {True: 1, False: 1})
    stage = JointStage(replace(TINY, turns=12), folder)
    called = {form: name for name in CLASSES for form in (single(name), plural(name))}
    checked = {1: 0, 2: 0}
    for seed in range(4):
        rows = stage.talks(scenes, random.Random(seed))
        for scene, other, talks in zip(scenes, [*scenes[1:], scenes[0]], rows, strict=True):
            assert talks[0].turns[0].answer == caption(scene)
            counts = {thing.name: thing.count for thing in scene.things}
            for pictures, answer in [(t.pictures, turn.answer) for t in talks for turn in t.turns]:
                amount, which = _AMOUNT.fullmatch(answer), _ONE_OF_TWO.fullmatch(answer)
                if pictures == 1 and amount and amount[2] in called:
                    count = counts.get(called[amount[2]], 0)
                    said = ["no", *NUMBERS[1:]][count]
                    assert count > 0 if amount[1] in ("a", "an") else amount[1] == said
                    checked[1] += 1
                if which:
                    assert pictures == 2
                    there, missing = (scene, other) if which[1] == "first" else (other, scene)
                    assert called[which[2]] in there.names - missing.names
                    checked[2] += 1
    assert checked[1] > 50
    assert checked[2] > 2


def test_alignment_moves_the_projector_alone_and_what_follows_starts_there(tmp_path):
    open_tokenizer().save_pretrained(tmp_path)  # making one takes long
    VisionStage(TINY, tmp_path).save()
    LanguageStage(TINY, tmp_path).save()
    spoken = torch.load(tmp_path / "language.pt")["average"]
    stage = AlignStage(TINY, tmp_path)
    stage.resume()
    lm = stage.net.llava.model.language_model.state_dict()
    assert all(torch.equal(lm[n.removeprefix("decoder.")], v) for n, v in spoken.items())
    before = {name: value.clone() for name, value in stage.net.state_dict().items()}
    stage.one_step()
    after = stage.net.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved
    # Readers are thrown away later; a projector can only be taught by ones that learn as well.
    assert {name for name in moved if name.startswith("readers.")}
    assert all("projector" in name or name.startswith("readers.") for name in moved)
    stage.save()
    joint = JointStage(TINY, tmp_path)
    joint.resume()
    aligned = torch.load(tmp_path / "align.pt")["average"]
    assert all(torch.equal(v, aligned[n]) for n, v in joint.net.state_dict().items())
    assert joint.losses(random.Random(0), np.random.default_rng(0))["loss"].requires_grad
