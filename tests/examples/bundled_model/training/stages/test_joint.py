import random
import re
from dataclasses import replace

import pytest
import torch
from bundled_model.conversations.asker import Talk
from bundled_model.conversations.questions import Turn
from bundled_model.conversations.truths import caption
from bundled_model.training import dense
from bundled_model.training.model import build_processor, open_tokenizer, save
from bundled_model.training.packing import Packer
from bundled_model.training.slots import in_slots
from bundled_model.training.stages.joint import JointStage
from bundled_model.training.stages.vision import VisionStage, clear_pixels
from bundled_model.training.talker import answer_logits, disagreement
from bundled_model.training.trainer import TrainConfig

from memvr_integrations.bundled.world.words import CLASSES, NUMBERS, plural, single
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


def test_a_step_moves_the_weights(folder):
    stage = JointStage(TINY, folder)
    before = {name: value.clone() for name, value in stage.net.state_dict().items()}
    told = stage.one_step()
    assert set(told) == {"loss", "answers", "patches", "boxes", "counts", "yes/no", "apart"}
    moved = {n for n, v in stage.net.state_dict().items() if not torch.equal(v, before[n])}
    assert any("language_model" in name for name in moved)
    assert any("vision_tower" in name for name in moved)


def test_the_trained_tower_is_taken_over(folder):
    vision = VisionStage(TINY, folder)
    vision.save()
    stage = JointStage(TINY, folder)
    stage.resume()
    for name, value in vision.average.tower.state_dict().items():
        assert torch.equal(stage.net.tower.state_dict()[name], value)


def test_a_finished_tower_is_taken_alone(folder, tmp_path):
    first = JointStage(replace(TINY, seed=1), folder)
    save(first.net.llava, tmp_path / "finished", first.tokenizer)
    stage = JointStage(replace(TINY, tower=tmp_path / "finished"), folder)
    begun = {name: value.clone() for name, value in stage.net.llava.state_dict().items()}
    stage.resume()
    for name, value in stage.net.llava.state_dict().items():
        source = first.net.llava.state_dict() if "vision_tower" in name else begun
        assert value.equal(source[name])


def test_a_checkpoint_of_another_tokenizer_is_refused(folder, monkeypatch):
    JointStage(TINY, folder).save()
    other = JointStage(TINY, folder)
    monkeypatch.setattr(Packer, "vocabulary", ["a", "b"])
    with pytest.raises(ModelLoadError, match="another tokenizer"):
        other.resume()


def test_pictures_that_are_glanced_at_are_not_talked_about(folder, monkeypatch):
    stage = JointStage(replace(TINY, glances=4), folder)
    looked, talked = [], []
    losses, answer = dense.DenseHeads.losses, stage.answer
    monkeypatch.setattr(
        dense.DenseHeads,
        "losses",
        lambda heads, seen, truth: looked.append(len(seen)) or losses(heads, seen, truth),
    )
    monkeypatch.setattr(
        stage,
        "answer",
        lambda features, packed, rng: talked.append(len(features)) or answer(features, packed, rng),
    )
    stage.one_step()
    assert looked == [TINY.batch + 4] * 2  # the tower's tokens, and the projector's
    assert talked == [TINY.batch]


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


def test_disagreement_is_the_distance_from_the_mean():
    same = torch.tensor([1, 1, 2])
    assert float(disagreement(torch.tensor([3.0, 3.0, 9.0]), same)) == 0
    assert float(disagreement(torch.tensor([3.0, -3.0, 9.0]), same)) > 1
    assert float(disagreement(torch.zeros(0), torch.zeros(0))) == 0


def test_measuring_marks_every_kind(folder, monkeypatch):
    from bundled_model.training import marking

    monkeypatch.setattr(marking, "_SCENES", 4)
    figures = JointStage(TINY, folder).measure()
    assert {"random", "popular", "adversarial", "count", "box", "pair"} <= set(figures)
    assert all(0 <= value <= 1 for value in figures.values())


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
                    told = ["no", *NUMBERS[1:]][count]
                    assert count > 0 if amount[1] in ("a", "an") else amount[1] == told
                    checked[1] += 1
                if which:
                    assert pictures == 2
                    there, missing = (scene, other) if which[1] == "first" else (other, scene)
                    assert called[which[2]] in there.names - missing.names
                    checked[2] += 1
    assert checked[1] > 50
    assert checked[2] > 2
