import pytest
import torch

from memvr_integrations.bundled import precision
from memvr_integrations.bundled.precision import fastest_precision


@pytest.mark.parametrize(("narrow", "wide", "chosen"), [
    (1.0, 3.0, "bfloat16"),
    (3.0, 1.0, "float32"),
    (1.0, 1.1, "float32"),
])  # fmt: skip
def test_bfloat16_has_to_be_clearly_faster(monkeypatch, narrow, wide, chosen):
    seconds = {torch.bfloat16: narrow, torch.float32: wide}
    monkeypatch.setattr(precision, "_seconds", seconds.__getitem__)
    assert fastest_precision("cpu") == chosen


def test_this_machine_is_timed():
    assert fastest_precision("cpu") in ("bfloat16", "float32")


def test_a_gpu_is_not_timed(monkeypatch):
    monkeypatch.setattr(precision, "_seconds", None)
    assert fastest_precision("cuda") == "bfloat16"
