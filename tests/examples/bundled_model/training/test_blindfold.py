"""Training for the blindfold: the same arithmetic as in use, and gradients through it."""

import copy
import random

import pytest
import torch
from bundled_model.conversations.asker import Talk
from bundled_model.conversations.questions import Turn
from bundled_model.training.model import build_processor, open_tokenizer
from bundled_model.training.slot_attention import in_slots
from bundled_model.training.stages.blindfold import (
    BLINDFOLDED,
    LAYER,
    BlindfoldStage,
    covered,
    passes,
    retraced,
)
from bundled_model.training.stages.joint import JointStage
from bundled_model.training.stages.vision import clear_pixels
from bundled_model.training.talker import answer_logits
from bundled_model.training.trainer import TrainConfig

from memvr_integrations.memvr import blindfolded, retracing

TINY = TrainConfig(
    steps=3, cooldown=1, batch=2, fresh=0.5, peak_lr=1e-3, turns=3, layers=LAYER + 2, width=32,
    heads=2, precision="float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A stage after a joint one; tests leave its weights alone."""
    folder = tmp_path_factory.mktemp("run")
    open_tokenizer().save_pretrained(folder)
    JointStage(TINY, folder).save()
    stage = BlindfoldStage(TINY, folder)
    stage.resume()
    return stage


def logits_of_a_talk(stage, features, talks):
    """The logits of the last talk's answer, by the arithmetic of training; of all rows."""
    packed = in_slots(stage.packer, [stage.packer.row_of(talks)] * 2, shortest=16)
    hidden = covered(packed, torch.tensor([True, True]), first=len(stage.packer.before_image))
    ratios = torch.full((2,), BLINDFOLDED.retracing_ratio)
    with retraced(stage.net.llava, features, ratios, passes(packed)):
        logits, _, _ = answer_logits(stage.net.llava, stage.packer, features, hidden)
    owners = packed.segments[:, 1:][packed.labels[:, 1:] >= 0]
    return logits[owners == len(talks)]


COW = Talk(turns=(Turn("What do you see?", "A cow."),))


OTHERS = [
    Talk(turns=(Turn("Is there a duck?", "No."), Turn("And a tree or a house?", "Yes, a tree."))),
    Talk(turns=(Turn("How many sheep are there on this farm?", "There are two sheep."),)),
]


def test_training_computes_what_a_blindfolded_model_that_retraces_computes(stage, scenes):
    model, packer = copy.deepcopy(stage.net.llava).eval(), stage.packer
    processor = build_processor(stage.tokenizer)
    answer = packer.encode(" A cow.")
    text = "<s>USER: <image>\nWhat do you see? ASSISTANT:"
    inputs = processor(
        images=[scenes[0].pixels], text=text, return_tensors="pt", add_special_tokens=False
    )
    stage.net.eval()
    with torch.inference_mode():
        _, features = stage.net.see(clear_pixels(list(scenes[:2])))
        trained = logits_of_a_talk(stage, features, [*OTHERS, COW])[: len(answer) + 1]
        model.set_attn_implementation("sdpa")
        used = {}
        for config in (BLINDFOLDED, None):
            with blindfolded(model, from_layer=0), retracing(model, config):
                output = model(**inputs, use_cache=True)
                said = [output.logits[0, -1]]
                for token in answer:
                    output = model(input_ids=torch.tensor([[token]]), cache=output.cache)
                    said.append(output.logits[0, -1])
            used[config] = torch.stack(said)
    # The prefix, which a row's conversations share, is as loud as it is without any of them.
    off = (trained - used[BLINDFOLDED]).abs().max()
    assert off < 0.02 * (used[None] - used[BLINDFOLDED]).abs().max()


def test_an_answer_retraces_as_loudly_whatever_else_is_in_its_row(stage, scenes):
    stage.net.eval()
    with torch.inference_mode():
        _, features = stage.net.see(clear_pixels(list(scenes[:2])))
        alone = logits_of_a_talk(stage, features, [COW])
        among = logits_of_a_talk(stage, features, [*OTHERS, COW])
    assert torch.allclose(alone, among, atol=1e-5)


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
