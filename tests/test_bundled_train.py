import sys

import pytest
from transformers import AutoProcessor, LlavaForConditionalGeneration

from memvr_integrations.bundled import train
from memvr_integrations.bundled.art import SPRITES
from memvr_integrations.bundled.words import THEMES


def test_an_unknown_theme_is_told(capsys):
    with pytest.raises(SystemExit):
        train.parse(["--themes", "kitchen,moonbase"])
    assert "no such theme: moonbase; there are kitchen" in capsys.readouterr().err


def test_options_reach_both_stages():
    vision, joint = train.configs(
        train.parse(["--vision-steps", "7", "--lr", "0.5", "--seed", "3"])
    )
    assert (vision.steps, vision.seed) == (7, 3)
    assert (joint.peak_lr, joint.seed) == (0.5, 3)
    assert vision.themes == joint.themes == tuple(THEMES)


def test_the_speed_of_drawing_is_measured():
    assert train.drawing_speed(SPRITES, seconds=0.05) > 0


def test_the_command_goes_from_art_to_a_model_that_opens(tmp_path, monkeypatch, tiny_stages):
    options = "--vision-steps 1 --steps 1 --batch 2 --turns 2 --device cpu --precision float32"
    monkeypatch.setattr(sys, "argv", ["train", "--folder", str(tmp_path), *options.split()])
    train.main()
    assert LlavaForConditionalGeneration.from_pretrained(tmp_path / "model").config
    tokenizer = AutoProcessor.from_pretrained(tmp_path / "model").tokenizer
    assert len(tokenizer(" strawberries", add_special_tokens=False).input_ids) == 1
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")


@pytest.fixture
def tiny_stages(monkeypatch):
    from dataclasses import replace

    small = {"layers": 2, "width": 32, "heads": 2, "measure_every": 10**9}
    monkeypatch.setattr(train, "VISION", replace(train.VISION, batch=2, **small))
    monkeypatch.setattr(train, "JOINT", replace(train.JOINT, batch=2, **small))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("memvr_integrations.bundled.trainer._LOG_EVERY", 1)
