"""Language first: a decoder that learns from text, and a projector that learns alone."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from bundled_model.training.model import open_tokenizer
from bundled_model.training.stages.joint import JointStage
from bundled_model.training.stages.language import AlignStage, LanguageStage, next_word_loss
from bundled_model.training.stages.vision import VisionStage
from bundled_model.training.trainer import TrainConfig
from bundled_settings import FIRST_THEMES

TINY = TrainConfig(
    steps=30, cooldown=10, batch=2, fresh=0.5, peak_lr=5e-3, turns=4, layers=2, width=32, heads=2,
    precision="float32", measure_every=10**9,
)  # fmt: skip


def test_the_decoder_learns_from_text_alone(tmp_path):
    stage = LanguageStage(replace(TINY, steps=100, peak_lr=2e-2), tmp_path)
    before = stage.measure()["perplexity"]
    stage.run()
    assert stage.measure()["perplexity"] < before / 2


def test_words_behind_the_end_count_nothing(tmp_path):
    stage = LanguageStage(TINY, tmp_path)
    ids = torch.tensor([[1, 50, 60, 70]])
    padded = torch.tensor([[1, 50, 60, 70, 0, 0]])
    assert next_word_loss(stage.net, padded).item() == pytest.approx(
        next_word_loss(stage.net, ids).item(), abs=1e-5
    )


def test_conversations_are_of_one_scene_and_without_pictures(tmp_path):
    stage = LanguageStage(TINY, tmp_path)
    ids = stage._conversations(random.Random(0), 3)
    text = stage.tokenizer.decode(ids[0])
    assert text.startswith("<s>USER: ")
    assert text.count("ASSISTANT:") >= TINY.turns
    assert stage.packer.image not in ids


def test_text_is_about_the_themes_that_are_trained(tmp_path):
    open_tokenizer().save_pretrained(tmp_path)
    stage = LanguageStage(replace(TINY, themes=FIRST_THEMES), tmp_path)
    text = " ".join(map(stage.tokenizer.decode, stage._conversations(random.Random(0), 20)))
    assert set(re.findall(r"ASSISTANT: An? ([a-z ]+) scene with", text)) == set(FIRST_THEMES)


def test_alignment_moves_the_projector_alone_and_what_follows_starts_there(tmp_path):
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
