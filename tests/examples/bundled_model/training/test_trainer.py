import json
import os
import random
import signal
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.distributed as dist
from bundled_model.training.optimizer import MuonAdamW
from bundled_model.training.trainer import Stage, TrainConfig
from forked import forked
from torch import nn

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
    logged = [json.loads(line)["step"] for line in again.log.read_text().splitlines()]
    assert logged == [3, 4]  # the last step of every run


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


def test_what_a_model_was_trained_on_is_not_shown_again_when_it_goes_on(tmp_path):
    class Drawing(Toy):
        def losses(self, rng, noise):
            drawn.append(rng.random())
            return super().losses(rng, noise)

    drawn = []
    for name, weights in (("one", b"1"), ("two", b"2"), ("same as two", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        Drawing(replace(CONFIG, init=tmp_path / name), tmp_path).one_step()
    Drawing(CONFIG, tmp_path).one_step()
    one, two, same, new = drawn
    assert len({one, two, new}) == 3
    assert same == two


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_step_and_goes_on_as_if_it_never_stopped(
    tmp_path, monkeypatch, sent
):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    config = replace(CONFIG, steps=4, cooldown=4)
    whole = Toy(config, tmp_path / "one")
    whole.run()
    updates = MuonAdamW._updates
    handler = signal.getsignal(sent)

    def interrupted(optimizer):
        os.kill(os.getpid(), sent)  # AdamW has moved its weights, Muon hasn't
        return updates(optimizer)

    monkeypatch.setattr(MuonAdamW, "_updates", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Toy(config, tmp_path / "two").run()
    monkeypatch.setattr(MuonAdamW, "_updates", updates)
    assert signal.getsignal(sent) is handler
    rest = Toy(config, tmp_path / "two")
    rest.resume()
    assert rest.step == 1
    rest.run()
    for one, other in zip(whole.net.parameters(), rest.net.parameters(), strict=True):
        assert torch.allclose(one, other)


def test_a_second_signal_does_not_break_off_the_saving(tmp_path):
    class Interrupted(Toy):
        def losses(self, rng, noise):
            os.kill(os.getpid(), signal.SIGINT)
            return super().losses(rng, noise)

        def save(self):
            os.kill(os.getpid(), signal.SIGTERM)
            super().save()

    with pytest.raises(KeyboardInterrupt):
        Interrupted(CONFIG, tmp_path).run()
    assert torch.load(tmp_path / "toy.pt")["step"] == 1


def test_a_step_that_fails_is_not_saved(tmp_path, monkeypatch):
    def fail(optimizer):
        raise RuntimeError("half a step")

    stage = Toy(CONFIG, tmp_path)
    stage.save()
    monkeypatch.setattr(MuonAdamW, "_updates", fail)
    begun = torch.load(stage.checkpoint)["net"]
    with pytest.raises(RuntimeError, match="half a step"):
        stage.run()
    assert all(
        value.equal(begun[name]) for name, value in torch.load(stage.checkpoint)["net"].items()
    )


def test_what_is_killed_while_it_measures_has_been_saved(tmp_path, monkeypatch):
    stage = Toy(replace(CONFIG, measure_every=3), tmp_path)
    saved = []
    monkeypatch.setattr(
        stage, "measure", lambda: saved.append(torch.load(stage.checkpoint)["step"]) or {}
    )
    stage.run()
    assert saved == [3]


class Uneven(Toy):
    """Each process has weights and a loss of its own, until they share weights and gradients.

    The first saves slowly, the second alone is asked to stop.
    """

    def begin(self):
        nn.init.constant_(self.net["layers"][0].weight, self.rank)

    def losses(self, rng, noise):
        if self.rank == 1 and self.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        seen = self.work["layers"][0](torch.ones(1, 4))
        return {"loss": (seen - torch.arange(4.0) * self.rank).square().mean()}

    def save(self):
        time.sleep(0.5 * (self.rank == 0))
        super().save()


def one_of_two(rank, folder):
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    begun = Uneven(CONFIG, folder)
    begun.run()
    assert torch.load(begun.checkpoint)["step"] == 3  # nobody goes on before it is there
    if rank == 1:
        (folder / "elsewhere").mkdir()
    # The second process finds no checkpoint, as if it had come too early.
    stage = Uneven(replace(CONFIG, steps=50), [folder, folder / "elsewhere"][rank])
    with pytest.raises(KeyboardInterrupt):
        stage.run()
    state = {"begun": begun.net.state_dict(), "end": stage._state() | {"seconds": None}}
    torch.save(state, folder / f"process{rank}.pt")
    dist.destroy_process_group()


def test_processes_begin_alike_go_on_alike_and_stop_after_the_same_step(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    # A process that begins takes seconds to import torch: one is this, the other its copy.
    other = forked(lambda: one_of_two(1, tmp_path))
    try:
        one_of_two(0, tmp_path)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        assert os.waitpid(other, 0)[1] == 0
    one, other = (torch.load(tmp_path / f"process{rank}.pt") for rank in (0, 1))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert one["end"]["step"] == torch.load(tmp_path / "toy.pt")["step"] == 5


@pytest.mark.parametrize("saved", [True, False])
def test_lines_that_no_checkpoint_holds_are_logged_once(tmp_path, saved):
    lines = [("toy", 1), ("toy", 2), ("other", 9), ("toy", 3)]
    log = tmp_path / "log.jsonl"
    log.write_text(
        "".join(f'{{"stage": "{name}", "step": {step}, "minutes": 1}}\n' for name, step in lines)
    )
    if saved:
        stage = Toy(CONFIG, tmp_path)
        stage.step = 2
        stage.save()
    Toy(CONFIG, tmp_path).resume()
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    kept = [("toy", 1), ("toy", 2)] if saved else []
    assert [(one["stage"], one["step"]) for one in logged] == [*kept, ("other", 9)]


def test_the_learning_rate_warms_up_and_cools_down(tmp_path):
    stage = Toy(replace(CONFIG, steps=1000, cooldown=400, peak_lr=1.0), tmp_path)

    def rate(step):
        stage.step = step
        return stage.learning_rate()

    assert rate(0) <= 0.01
    assert rate(400) == 1
    assert rate(800) == pytest.approx(0.5)
    assert rate(999) == pytest.approx(0.01)
