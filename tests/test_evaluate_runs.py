"""Answers on disk: nothing is lost, nothing comes twice."""

import json

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.evaluate.runs import ANSWERS, Answer, Run

PLAN = {"benchmark": "scenes", "strategies": ["plain", "memvr"]}


def answer(question, strategy="plain", **more):
    return Answer(strategy=strategy, seed=0, question=question, text=f"{question}!", **more)


def test_answers_are_there_when_it_is_opened_again(tmp_path):
    run = Run(tmp_path / "run", PLAN)
    run.add([answer("a"), answer("b", tokens=3, retraced=1)])
    run.add([answer("b"), answer("a", "memvr"), answer("ç\u2028", "memvr")])
    again = Run(tmp_path / "run", PLAN)
    assert len(again) == 4
    assert list(again) == list(run)
    assert again.texts("plain", 0) == {"a": "a!", "b": "b!"}
    assert ("memvr", 0, "ç\u2028") in again
    assert ("memvr", 1, "a") not in again


def test_a_line_that_was_cut_off_is_asked_again(tmp_path):
    Run(tmp_path, PLAN).add([answer("a"), answer("b")])
    path = tmp_path / ANSWERS
    path.write_bytes(path.read_bytes()[:-5])
    run = Run(tmp_path, PLAN)
    assert run.texts("plain", 0) == {"a": "a!"}
    run.add([answer("b")])
    assert Run(tmp_path, PLAN).texts("plain", 0) == {"a": "a!", "b": "b!"}
    assert path.read_text().count("\n") == 2


def test_what_failed_is_kept_but_is_no_answer(tmp_path):
    Run(tmp_path, PLAN).add([answer("a", error="no such file")])
    assert ("plain", 0, "a") in Run(tmp_path, PLAN)
    assert Run(tmp_path, PLAN).texts("plain", 0) == {}


def test_another_plan_is_refused(tmp_path):
    Run(tmp_path, PLAN)
    with pytest.raises(
        ConfigError, match=r"another evaluation \(benchmark: 'scenes' there, 'pope'"
    ):
        Run(tmp_path, PLAN | {"benchmark": "pope"})
    (tmp_path / ANSWERS).write_text(json.dumps({"strategy": "plain"}) + "\n")
    with pytest.raises(ConfigError, match=r"answers\.jsonl, line 1, is no answer"):
        Run(tmp_path, PLAN)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be made a folder"):
        Run(tmp_path / "file", PLAN)
