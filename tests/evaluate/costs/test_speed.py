import json
import sys
from functools import partial

import pytest
from tiny_subject import tiny_subject

from memvr_integrations.evaluate.costs import callers, speed
from memvr_integrations.evaluate.costs.subject import Subject

SMALL = ["--rounds", "1", "--tokens", "3", "--chance", "2", "--requests", "32"]


@pytest.fixture
def command(monkeypatch):
    def run(*options):
        monkeypatch.setattr(sys, "argv", ["speed", *options])
        speed.main()

    return run


def test_the_command_prints_tables_and_keeps_them(command, tmp_path, capsys):
    kept = tmp_path / "new"
    command(*SMALL, "--part", "reuse, bandwidth", "--device", "cpu", "--out", str(kept))
    seen = capsys.readouterr()
    assert seen.out.startswith("model bundled, parameters 9760576, dtype float32, machine ")
    assert "| second turn / first |" in seen.out
    assert "reuse: " in seen.err
    assert "there is no GPU" in seen.err
    whole = json.loads((kept / "speed.json").read_text())
    assert whole["sizes"] == {"rounds": 1, "tokens": 3, "chance": 2, "requests": 32}
    assert [len(tables) for tables in whole["parts"].values()] == [1, 0]
    [reused] = whole["parts"]["reuse"]
    assert len(reused["rows"]["second turn / first"]["ratio"]["values"]) == 1
    assert [path.name for path in kept.glob("*.svg")] == ["never-twice.svg"]


def test_json_is_all_that_is_printed_where_it_is_asked_for(command, monkeypatch, capsys):
    monkeypatch.setattr(Subject, "load", lambda name, **options: tiny_subject())
    for lengths in ("EQUAL", "MIXED", "_LENGTHS"):
        monkeypatch.setattr(callers, lengths, (2, 3))
    monkeypatch.setattr(callers, "beside", partial(callers.beside, long=20))
    command(*SMALL, "--part", "decode,callers", "--json")
    whole = json.loads(capsys.readouterr().out)
    assert whole["model"] == "random tiny"
    plain, memvr = whole["parts"]["decode"]
    assert plain["rows"]["off"]["decode / model.generate"]["median"] > 0
    assert memvr["note"] == (
        "reuse: whole head with the norm in it; strict: whole head with the norm in it; "
        "exact: whole head."
    )
    assert list(plain["rows"])[1:] == list(memvr["rows"])
    assert [table["title"] for table in whole["parts"]["callers"]] == [
        "Callers at once",
        "Questions by chance",
    ]


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
