import pytest
import torch
from torch import nn

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import (
    ExactProbe,
    ReuseProbe,
    Screen,
    StrictProbe,
    choose_probe,
    choosing,
)


def head_of(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Linear(64, 20_000, bias=False).requires_grad_(False).to(dtype)


class Adapted(nn.Linear):
    def forward(self, hidden):
        return super().forward(hidden) + hidden[..., :1]


def packed():
    head = nn.Linear(4, 4)
    head.weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.uint8), requires_grad=False)
    return head


@pytest.mark.parametrize(
    ("kind", "head", "options", "reason"),
    [
        ("exact", head_of(), {}, "asked for"),
        ("strict", head_of(), {"form": "vocabulary"}, "over all logits"),
        ("reuse", nn.Sequential(head_of()), {}, "not a plain matrix"),
        ("reuse", head_of().to("meta"), {}, "not in memory"),
        ("reuse", packed(), {}, "packed"),
        ("reuse", head_of(torch.float8_e4m3fn), {}, "packed"),
        ("strict", Adapted(64, 20_000), {}, "something else than its weights"),
        ("reuse", nn.Linear(64, 500), {}, "32,000 weights"),
        ("strict", head_of(torch.bfloat16), {}, "half precision"),
    ],
    ids=str,
)
def test_heads_that_are_run_whole(kind, head, options, reason):
    chosen = choose_probe(kind, head, **options)
    assert isinstance(chosen.probe, ExactProbe)
    assert (chosen.kind, chosen.way) == (kind, "whole head")
    assert reason in chosen.reason


def test_there_is_no_other_kind():
    with pytest.raises(ConfigError, match="probe='guess' must be"):
        choose_probe("guess", head_of())


@pytest.mark.parametrize("whole_head", [1.0, 3.0])
def test_strict_is_the_faster_of_two_that_decide_alike(monkeypatch, whole_head):
    took = {"whole head": whole_head, "int8 screen": 2.0}
    monkeypatch.setattr(choosing, "_timed", lambda probes, weight: took)
    chosen = choose_probe("strict", head_of())
    assert chosen.way == min(took, key=took.get)
    assert isinstance(chosen.probe, StrictProbe if whole_head == 3.0 else ExactProbe)
    assert chosen.to_dict() == {
        "kind": "strict",
        "way": chosen.way,
        "reason": "it is the faster one here",
        "milliseconds": took,
    }


def test_the_timing_is_of_all():
    took = choose_probe("strict", head_of()).milliseconds
    assert took.keys() == {"whole head", "int8 screen"}
    assert min(took.values()) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_reuse_is_never_a_matter_of_timing(monkeypatch, dtype):
    monkeypatch.setattr(choosing, "_timed", None)
    chosen = choose_probe("reuse", head_of(dtype))
    assert (chosen.way, chosen.milliseconds) == ("int8 screen", {})
    monkeypatch.setattr(Screen, "of", lambda weight, bias: None)
    chosen = choose_probe("reuse", head_of(dtype))
    assert chosen.way == "best of the first layer"
    assert isinstance(chosen.probe, ReuseProbe)
    assert choose_probe("strict", head_of()).reason == "this machine has no int8 product"
