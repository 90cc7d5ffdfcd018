import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from memvr_integrations.bundled.trainer import CURVES, Stage, TrainConfig

CONFIG = TrainConfig(steps=3, cooldown=1, batch=2, fresh=0.5, peak_lr=0.1, precision="float32")


class Toy(Stage):
    """Learns that four numbers are ones."""

    name = "toy"

    def __init__(self, config, folder):
        torch.manual_seed(0)
        super().__init__(
            config, folder, nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(4, 4)])})
        )

    def losses(self, rng, noise):
        assert isinstance(rng, random.Random)
        assert isinstance(noise, np.random.Generator)
        return {"loss": (self.work["layers"][0](torch.ones(1, 4)) - 1).square().mean()}

    def measure(self):
        return {"measured": 1.0}


def test_training_moves_the_weights_saves_and_goes_on(tmp_path):
    first = Toy(CONFIG, tmp_path)
    before = {name: value.clone() for name, value in first.net.state_dict().items()}
    first.run()
    assert all(not torch.equal(value, before[n]) for n, value in first.net.state_dict().items())
    again = Toy(replace(CONFIG, steps=4), tmp_path)
    again.resume()
    assert again.step == 3
    for part in ("net", "average"):
        for name, value in getattr(again, part).state_dict().items():
            assert torch.equal(value, getattr(first, part).state_dict()[name])
    again.run()
    assert again.step == 4
    told = [json.loads(line)["step"] for line in again.log.read_text().splitlines()]
    assert told == [3, 4]  # the last step of every run


def test_a_run_in_two_parts_is_the_run_in_one(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole = Toy(replace(CONFIG, steps=4, cooldown=4), tmp_path / "one")
    whole.run()
    part = Toy(replace(CONFIG, steps=4, cooldown=4), tmp_path / "two")
    part.one_step()
    part.step = 1
    part.save()
    rest = Toy(replace(CONFIG, steps=4, cooldown=4), tmp_path / "two")
    rest.run()
    for one, other in zip(whole.net.parameters(), rest.net.parameters(), strict=True):
        assert torch.allclose(one, other)


def test_an_interrupted_run_is_saved(tmp_path, monkeypatch):
    def stop(self):
        if self.step == 1:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(Toy, "one_step", stop)
    with pytest.raises(KeyboardInterrupt):
        Toy(CONFIG, tmp_path).run()
    resumed = Toy(CONFIG, tmp_path)
    resumed.resume()
    assert resumed.step == 1


def test_lines_behind_the_checkpoint_are_told_once(tmp_path):
    lines = [("toy", 1), ("toy", 2), ("other", 9), ("toy", 3)]
    log = tmp_path / "log.jsonl"
    log.write_text(
        "".join(f'{{"stage": "{name}", "step": {step}, "minutes": 1}}\n' for name, step in lines)
    )
    stage = Toy(CONFIG, tmp_path)
    stage.step = 2
    stage.save()
    Toy(CONFIG, tmp_path).resume()
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["stage"], one["step"]) for one in told] == [("toy", 1), ("toy", 2), ("other", 9)]


def test_a_saved_run_shows_its_curve(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"stage": "toy", "step": 50, "minutes": 1, "loss": 1.5}\n')
    Toy(CONFIG, tmp_path).save()
    assert ">loss<" in (tmp_path / CURVES).read_text()


def test_the_learning_rate_warms_up_and_cools_down(tmp_path):
    stage = Toy(replace(CONFIG, steps=1000, cooldown=400, peak_lr=1.0), tmp_path)

    def rate(step):
        stage.step = step
        return stage.learning_rate()

    assert rate(0) <= 0.01
    assert rate(400) == 1
    assert rate(800) == pytest.approx(0.5)
    assert rate(999) == pytest.approx(0.01)


def test_the_average_follows_the_weights(tmp_path):
    stage = Toy(CONFIG, tmp_path)
    stage.run()
    for mean, value in zip(stage.average.parameters(), stage.net.parameters(), strict=True):
        assert not mean.requires_grad
        assert (mean - value).abs().max() < 0.5
