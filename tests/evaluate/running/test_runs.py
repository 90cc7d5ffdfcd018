"""Answers on disk: nothing is lost, nothing comes twice."""

import json

import pytest
from filelock import FileLock

from memvr_integrations.errors import ConfigError
from memvr_integrations.evaluate.running.runs import ANSWERS, Answer, Run

PLAN = {"benchmark": "scenes"}
WAYS = {"plain": {"memvr": None}, "memvr": {"memvr": {"ratio": 0.1}}}


def answer(question, strategy="plain", **more):
    return Answer(strategy=strategy, seed=0, question=question, text=f"{question}!", **more)


def test_answers_are_there_when_it_is_opened_again(tmp_path):
    run = Run(tmp_path / "run", PLAN, ways=WAYS)
    run.add([answer("a"), answer("b", tokens=3, retraced=1)])
    run.add([answer("b"), answer("a", "memvr"), answer("ç\u2028", "memvr")])
    again = Run(tmp_path / "run", PLAN, ways=WAYS)
    assert len(again) == 4
    assert list(again) == list(run)
    assert again.texts("plain", 0) == {"a": "a!", "b": "b!"}
    assert ("memvr", 0, "ç\u2028") in again
    assert ("memvr", 1, "a") not in again


def test_how_unsure_an_answer_was_is_kept(tmp_path):
    run = Run(tmp_path, PLAN, ways=WAYS)
    run.add([answer("a", unsureness=0.25), answer("b")])
    before = json.loads((tmp_path / ANSWERS).read_text().splitlines()[1])
    del before["unsureness"]  # as earlier versions wrote it
    with (tmp_path / ANSWERS).open("a") as file:
        file.write(json.dumps(before | {"question": "c"}) + "\n")
    again = Run(tmp_path, PLAN, ways=WAYS)
    assert {one.question: one.unsureness for one in again} == {"a": 0.25, "b": None, "c": None}


def test_a_line_that_was_cut_off_is_asked_again(tmp_path):
    Run(tmp_path, PLAN, ways=WAYS).add([answer("a"), answer("b")])
    path = tmp_path / ANSWERS
    path.write_bytes(path.read_bytes()[:-5])
    run = Run(tmp_path, PLAN, ways=WAYS)
    assert run.texts("plain", 0) == {"a": "a!"}
    run.add([answer("b")])
    assert Run(tmp_path, PLAN, ways=WAYS).texts("plain", 0) == {"a": "a!", "b": "b!"}
    assert path.read_text().count("\n") == 2


def test_what_failed_is_kept_but_is_no_answer(tmp_path):
    Run(tmp_path, PLAN, ways=WAYS).add([answer("a", error="no such file")])
    assert ("plain", 0, "a") in Run(tmp_path, PLAN, ways=WAYS)
    assert Run(tmp_path, PLAN, ways=WAYS).texts("plain", 0) == {}


def test_another_plan_is_refused(tmp_path):
    Run(tmp_path, PLAN, ways=WAYS)
    with pytest.raises(
        ConfigError, match=r"another evaluation \(benchmark: 'scenes' there, 'pope'"
    ):
        Run(tmp_path, PLAN | {"benchmark": "pope"}, ways=WAYS)
    (tmp_path / ANSWERS).write_text(json.dumps({"strategy": "plain"}) + "\n")
    with pytest.raises(ConfigError, match=r"answers\.jsonl, line 1, is no answer"):
        Run(tmp_path, PLAN, ways=WAYS)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be used"):
        Run(tmp_path / "file", PLAN, ways=WAYS)


def test_strategies_may_join_but_not_change(tmp_path):
    Run(tmp_path, PLAN, ways=WAYS).add([answer("a", "memvr")])
    more = Run(tmp_path, PLAN, ways={"plain": {"memvr": None}, "vcd": {"alpha": 1}})
    assert ("memvr", 0, "a") in more
    with pytest.raises(ConfigError, match=r"strategy memvr: .*0.1.* there, .*0.2.* now"):
        Run(tmp_path, PLAN, ways={"memvr": {"memvr": {"ratio": 0.2}}})
    with pytest.raises(ConfigError, match="strategy vcd"):
        Run(tmp_path, PLAN, ways={"vcd": {"alpha": 2}})


def test_what_failed_is_asked_again_on_demand(tmp_path):
    Run(tmp_path, PLAN, ways=WAYS).add([answer("a", error="no such file"), answer("b")])
    run = Run(tmp_path, PLAN, ways=WAYS, retry=True)
    assert ("plain", 0, "a") not in run
    run.add([answer("a"), answer("b")])
    again = Run(tmp_path, PLAN, ways=WAYS)
    assert again.texts("plain", 0) == {"a": "a!", "b": "b!"}
    assert len((tmp_path / ANSWERS).read_text().splitlines()) == 3


def test_a_damaged_plan_is_reported(tmp_path):
    for text in ("{", "[]", '{"plan": {}}', '{"benchmark": "scenes"}'):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(ConfigError, match=r"run\.json is no plan"):
            Run(tmp_path, PLAN, ways=WAYS)


def test_one_process_asks_at_a_time(tmp_path):
    first, second = (Run(tmp_path, PLAN, ways=WAYS) for _ in range(2))
    with first.alone(), pytest.raises(ConfigError, match="Another process"), second.alone():
        pass
    with second.alone():
        pass


@pytest.mark.parametrize(
    "line",
    [
        b'{"strategy": "plain", "seed": 0, "question": "a", "text": "\xff"}',
        b'{"strategy": "plain", "seed": 0, "question": "a", "text": 5}',
        b'{"strategy": "plain", "seed": 0, "question": [1], "text": "a"}',
        b'{"strategy": "plain", "seed": true, "question": "a", "text": "a"}',
        b"[]",
    ],
)
def test_a_damaged_answer_is_reported_with_its_line(tmp_path, line):
    Run(tmp_path, PLAN, ways=WAYS).add([answer("a")])
    path = tmp_path / ANSWERS
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(ConfigError, match=r"answers\.jsonl, line 2, is no answer"):
        Run(tmp_path, PLAN, ways=WAYS)


def test_any_text_is_kept(tmp_path):
    odd = Answer(strategy="plain", seed=0, question="a", text="a\ud800\u2028b")
    Run(tmp_path, PLAN, ways=WAYS).add([odd])
    assert list(Run(tmp_path, PLAN, ways=WAYS)) == [odd]


def test_what_the_system_refuses_is_reported(tmp_path):
    (tmp_path / ANSWERS).mkdir()
    with pytest.raises(ConfigError, match=r"answers\.jsonl can't be used|can't be used"):
        Run(tmp_path, PLAN, ways=WAYS)


def test_answers_without_a_plan_are_no_ones(tmp_path):
    Run(tmp_path, PLAN, ways=WAYS).add([answer("a")])
    (tmp_path / "run.json").unlink()
    with pytest.raises(ConfigError, match=r"holds answers, but no run\.json"):
        Run(tmp_path, PLAN, ways=WAYS)


def test_who_is_refused_changes_nothing(tmp_path):
    run = Run(tmp_path, PLAN, ways=WAYS)
    run.add([answer("a")])
    path = tmp_path / ANSWERS
    path.write_bytes(path.read_bytes() + b'{"half')
    before = path.read_bytes(), (tmp_path / "run.json").read_bytes()
    with FileLock(tmp_path / "run.lock"), pytest.raises(ConfigError, match="Another process"):
        Run(tmp_path, PLAN, ways={"vcd": {}})
    assert (path.read_bytes(), (tmp_path / "run.json").read_bytes()) == before
