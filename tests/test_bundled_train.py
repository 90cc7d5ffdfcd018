import random
import sys
from dataclasses import replace

import pytest
import torch

from memvr_integrations.bundled import train
from memvr_integrations.bundled.model import build_processor, open_tokenizer
from memvr_integrations.bundled.packing import Packer
from memvr_integrations.bundled.questions import Turn
from memvr_integrations.bundled.train import TrainConfig, Trainer

TINY = TrainConfig(steps=3, cooldown=1, batch=2, turns=3, layers=2, width=32, heads=2)


@pytest.mark.parametrize("stage", ["vision", "joint"])
def test_training_moves_the_weights_saves_and_goes_on(tmp_path, stage, capsys):
    config = replace(TINY, stage=stage)
    first = Trainer(config, tmp_path)
    before = {name: value.clone() for name, value in first.model.state_dict().items()}
    first.run()
    moved = [n for n, v in first.model.state_dict().items() if not torch.equal(v, before[n])]
    assert moved
    if stage == "vision":
        assert all("vision_tower" in name for name in moved)
    again = Trainer(replace(config, steps=4), tmp_path)
    again.resume()
    assert again.step == 3
    for name, value in again.model.state_dict().items():
        assert torch.equal(value, first.model.state_dict()[name])
    again.run()
    assert again.step == 4


def test_a_checkpoint_of_another_tokenizer_is_refused(tmp_path, monkeypatch):
    Trainer(TINY, tmp_path).save()
    other = Trainer(TINY, tmp_path)
    monkeypatch.setattr(Packer, "vocabulary", ["a", "b"])
    with pytest.raises(ValueError, match="another tokenizer"):
        other.resume()


def test_an_interrupted_run_is_saved(tmp_path, monkeypatch):
    trainer = Trainer(TINY, tmp_path)

    def stop(self):
        if self.step == 1:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(Trainer, "_one_step", stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    resumed = Trainer(TINY, tmp_path)
    resumed.resume()
    assert resumed.step == 1


def test_the_learning_rate_warms_up_and_cools_down(tmp_path):
    trainer = Trainer(replace(TINY, steps=1000, cooldown=500), tmp_path)

    def rate(step):
        trainer.step = step
        trainer._set_learning_rate()
        return trainer.optimizer.param_groups[0]["lr"]

    peak = trainer.config.peak_lr
    assert rate(0) == pytest.approx(peak / 100)
    assert rate(300) == pytest.approx(peak)
    assert rate(750) == pytest.approx(peak / 2)
    assert rate(999) == pytest.approx(peak * 0.02)


def test_an_unknown_theme_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "--themes", "kitchen,moonbase"])
    with pytest.raises(SystemExit):
        train.main()
    assert "no such theme: moonbase; there are kitchen" in capsys.readouterr().err


def test_a_finished_model_can_be_trained_on(tmp_path):
    done = train.build_model(layers=2, width=32, heads=2)
    train.save(done, tmp_path / "model")
    trainer = Trainer(replace(TINY, init=tmp_path / "model"), tmp_path)
    trainer.resume()
    for name, value in done.state_dict().items():
        assert torch.equal(trainer.model.state_dict()[name], value)


def test_training_computes_what_inference_computes(tmp_path, scenes):
    """The same picture and words, once through a packed row, once through the whole model."""
    trainer = Trainer(TINY, tmp_path)
    packer, model = trainer.packer, trainer.model.eval()
    processor = build_processor(open_tokenizer())
    # Not by pixels(), which degrades some pictures at random.
    clear = torch.tensor(scenes[0].pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    row = packer.row([Turn("What do you see?", "A cow.")], random.Random(0))
    text = "<s>USER: <image>\nWhat do you see? ASSISTANT: A cow.</s>"
    inputs = processor(
        images=scenes[0].pixels, text=text, return_tensors="pt", add_special_tokens=False
    )
    assert torch.allclose(inputs["pixel_values"], clear, atol=1e-5)
    with torch.inference_mode():
        packed, targets = trainer.answer_logits(trainer.see(clear), [row])
        whole = model(**inputs).logits[0, -len(targets) - 1 : -1]
    assert inputs["input_ids"][0, -len(targets) :].tolist() == targets.tolist()
    assert torch.allclose(packed, whole, atol=1e-4)
