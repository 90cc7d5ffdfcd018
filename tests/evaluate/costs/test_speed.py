import sys

import pytest
import torch

from memvr_integrations.evaluate.costs import shapes, speed
from memvr_integrations.evaluate.costs.speed import Bench, Timing, table

CPU = torch.device("cpu")


def test_the_command_prints_a_row_for_every_way(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["speed", "--rounds", "1", "--tokens", "3", "--device", "cpu"])
    speed.main()
    said = capsys.readouterr().out
    for name in (
        "model.generate",
        "MemVR off",
        "MemVR preset",
        "never triggers",
        "always triggers",
    ):
        assert said.count(name) == 1
    assert "| 1.00 (1.00-1.00) |" in said


def test_random_weights_are_timed():
    config = shapes.llava(4, 32, 64, 2)
    config.vision_config.update(
        {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64}
    )
    bench = Bench(shapes.random_model("tiny", config, CPU, torch.float32), tokens=3)
    timings = bench.rounds(1)
    bench.close()
    assert len(timings) == 5
    assert all(timing.prefill > 0 and timing.decode > 0 for [timing] in timings.values())


def test_timings_and_ratios():
    assert Timing.between(1.0, [1.5, 1.7, 1.9]) == Timing(
        0.5, pytest.approx(0.2), pytest.approx(0.9)
    )
    rows = list(
        table(
            {
                "model.generate": [Timing(1.0, 0.1, 1.5), Timing(2.0, 0.1, 2.5)],
                "twice": [Timing(2.0, 0.2, 3.0), Timing(4.0, 0.2, 5.0)],
            }
        )
    )
    assert rows[-1] == "| twice | 3000 | 5.0 | 4000 | 2.00 (2.00-2.00) | 2.00 (2.00-2.00) |"


@pytest.mark.parametrize("options", [["--tokens", "1"], ["--rounds", "0"]])
def test_what_cannot_be_timed_is_refused(options, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["speed", *options])
    with pytest.raises(SystemExit):
        speed.main()
    assert "must be at least" in capsys.readouterr().err
