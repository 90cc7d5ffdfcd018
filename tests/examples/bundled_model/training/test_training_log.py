import json

import pytest
from bundled_model.training.training_log import read_log


def test_runs_that_went_on_with_the_weights_are_told_as_one(tmp_path):
    lines = [
        {"stage": "vision", "step": 50, "minutes": 1.5, "loss": 4, "images/s": 30.0},
        {"stage": "joint", "step": 50, "minutes": 1.0, "loss": 3.0},
        {"stage": "joint", "step": 80, "minutes": 2.0, "loss": 2.5, "yes/no": 0.5},
        {"stage": "joint", "step": 80, "minutes": 3.0, "loss": 2.0},
        {"stage": "joint", "step": 90, "minutes": 4.0, "loss": 1.5},
        {"stage": "joint", "step": 50, "minutes": 0.5, "loss": 1.0},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    entries = list(read_log(log))
    told = [f"{one.stage} {one.step}" for one in entries]
    assert told == ["vision 50", "joint 50", "joint 80", "joint 160", "joint 170", "joint 220"]
    assert [one.minutes for one in entries] == pytest.approx([1.5, 1.0, 2.0, 5.0, 6.0, 6.5])
    assert entries[0].figures == {"loss": 4.0}
    assert entries[2].figures == {"loss": 2.5, "yes/no": 0.5}
