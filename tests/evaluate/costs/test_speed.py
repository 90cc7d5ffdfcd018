import json
import sys

import pytest
from tiny_subject import tiny_subject

from memvr_integrations.evaluate.costs import speed
from memvr_integrations.evaluate.costs.subject import Subject

SMALL = ["--rounds", "1", "--tokens", "3", "--chance", "2", "--requests", "32"]


@pytest.fixture
def command(monkeypatch):
    def run(*options):
        monkeypatch.setattr(sys, "argv", ["speed", *options])
        speed.main()

    return run


def test_the_command_prints_tables_and_keeps_them(command, tmp_path, capsys):
    kept = tmp_path / "speed.json"
    command(*SMALL, "--part", "decode, reuse,bandwidth", "--device", "cpu", "--out", str(kept))
    seen = capsys.readouterr()
    assert seen.out.startswith("model bundled, parameters 9760576, dtype float32, machine ")
    for name in ("model.generate", "never triggers, strict", "second turn / first"):
        assert f"| {name} |" in seen.out
    assert "decode: " in seen.err
    assert "there is no GPU" in seen.err
    whole = json.loads(kept.read_text())
    assert whole["sizes"] == {"rounds": 1, "tokens": 3, "chance": 2, "requests": 32}
    assert [len(tables) for tables in whole["parts"].values()] == [2, 1, 0]
    [reused] = whole["parts"]["reuse"]
    assert len(reused["rows"]["second turn / first"]["ratio"]["values"]) == 1


def test_json_is_all_that_is_printed_where_it_is_asked_for(command, monkeypatch, capsys):
    monkeypatch.setattr(Subject, "load", lambda name, **options: tiny_subject())
    command(*SMALL, "--part", "strategies", "--json")
    whole = json.loads(capsys.readouterr().out)
    assert whole["model"] == "random tiny"
    [table] = whole["parts"]["strategies"]
    assert table["rows"]["opera"]["decode / off"]["values"] == []
    assert table["rows"]["icd"]["decode / off"]["median"] > 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--tokens", "2"], "tokens=2"),
        (["--rounds", "0"], "rounds=0"),
        (["--requests", "31"], "requests=31"),
        (["--part", "decoding"], "'decoding'"),
        (["--model", "bundeld"], "bundeld"),
    ],
)
def test_what_cannot_be_measured_is_refused(command, options, why):
    with pytest.raises(SystemExit) as refused:
        command(*options)
    assert why in str(refused.value)
