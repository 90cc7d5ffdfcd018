from types import SimpleNamespace

import pytest
import torch
from bundled_model.training import precision
from bundled_model.training.precision import fastest_precision


@pytest.mark.parametrize(("narrow", "wide", "chosen"), [
    (1.0, 3.0, "bfloat16"),
    (3.0, 1.0, "float32"),
    (1.0, 1.1, "float32"),
])  # fmt: skip
def test_bfloat16_has_to_be_clearly_faster(monkeypatch, narrow, wide, chosen):
    seconds = {torch.bfloat16: narrow, torch.float32: wide}
    monkeypatch.setattr(precision, "_seconds", seconds.__getitem__)
    assert fastest_precision("cpu") == chosen


def test_the_first_round_only_prepares(monkeypatch):
    seconds = [0.1, 5, 4, 6, 9, 3, 3, 3]  # four rounds in bfloat16, four in float32
    readings = iter([reading for taken in seconds for reading in (0, taken)])
    clock = SimpleNamespace(perf_counter=readings.__next__)
    monkeypatch.setattr(precision, "time", clock)
    assert fastest_precision("cpu") == "float32"
    assert not list(readings)


def test_the_first_process_decides_for_all(monkeypatch):
    monkeypatch.setattr(precision, "_seconds", {torch.bfloat16: 1.0, torch.float32: 9.0}.get)
    monkeypatch.setattr(precision.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(
        precision.dist, "broadcast_object_list", lambda told: told.__setitem__(0, "float32")
    )
    assert fastest_precision("cpu") == "float32"


def test_a_gpu_is_not_timed(monkeypatch):
    monkeypatch.setattr(precision, "_seconds", None)
    assert fastest_precision("cuda") == "bfloat16"
