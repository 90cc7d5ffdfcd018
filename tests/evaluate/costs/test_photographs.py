import sys
from functools import partial

import pytest

from memvr_integrations.evaluate.costs import photographs
from memvr_integrations.types import Request, SamplingParams


@pytest.mark.usefixtures("half_loads")
def test_the_command_prints_what_each_kind_of_call_takes(monkeypatch, capsys):
    sizes = {"200 x 150": (200, 150), "64 x 48": (64, 48)}
    monkeypatch.setattr(photographs, "SIZES", sizes)
    # Half of the model ends no description by itself.
    short = partial(Request.ask, sampling=SamplingParams(max_tokens=3))
    monkeypatch.setattr(Request, "ask", short)
    monkeypatch.setattr(sys, "argv", ["photographs", "--rounds", "1"])
    photographs.main()
    said = capsys.readouterr().out
    for row in ("| 200 x 150, ms | 64 x 48, ms |", "| index |", "| first question |", "| second"):
        assert said.count(row) == 1


def test_ratios_are_those_within_a_round():
    found = {"large": {"index": [2.0, 3.0, 8.0]}, "small": {"index": [1.0, 1.0, 2.0]}}
    assert list(photographs.table(found))[-1] == "| index | 3000 | 1000 | 3.00 (2.00-4.00) |"


def test_no_rounds_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["photographs", "--rounds", "0"])
    with pytest.raises(SystemExit):
        photographs.main()
    assert "--rounds must be at least 1" in capsys.readouterr().err
