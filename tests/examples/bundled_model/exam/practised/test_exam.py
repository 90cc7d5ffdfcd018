"""The exam of what is practised: who knows everything is right, who says one thing is not."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bundled_model.exam.abilities import Figure
from bundled_model.exam.practised import beside, judges
from bundled_model.exam.practised.asking import as_request, calls_of
from bundled_model.exam.practised.exam import answers, rows, tasks

from memvr_integrations.backend import Completion, ToolCall, Usage
from memvr_integrations.bundled.world import SPRITES, THEMES
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes

USAGE = Usage(prompt_tokens=1, image_tokens=0, completion_tokens=1)
CALL = '<tool_call>{"name": "%s", "arguments": %s}</tool_call>'


def said(text):
    """An answer as the package gives it: calls apart from words."""
    calls = tuple(
        ToolCall(id=str(at), name=name, arguments=json.dumps(arguments))
        for at, (name, arguments) in enumerate(calls_of(text))
    )
    return Completion(
        text="" if calls else text, finish_reason="stop", usage=USAGE, tokens=(), model="known",
        memvr=None, tool_calls=calls,
    )  # fmt: skip


class Knowing:
    """Stands for an examinee and its backend: knows every answer, or always says one thing."""

    def __init__(self, scenes, always=None):
        self.backend, self.always, self.asked = self, always, []
        self.known = {
            self.key(as_request(talk, [scenes[at].pixels for at in shown], turn=turn)): (
                talk.turns[turn].answer
            )
            for task in tasks(scenes)
            for talk, shown in zip(task.talks, task.shown, strict=True)
            for turn in range(len(talk.turns))
        }

    @staticmethod
    def key(request):
        tools = [tool.name for tool in request.tools]
        texts = [
            (message.role, [part.text for part in message.content if hasattr(part, "text")])
            for message in request.messages
        ]
        pictures = [part.source.tobytes() for part in request.images]
        return json.dumps([tools, texts, list(map(hash, pictures)), request.response_format])

    def generate(self, requests):
        self.asked += requests
        return [said(self.always or self.known[self.key(one)]) for one in requests]


@pytest.fixture(scope="module")
def few():
    return held_out_scenes(6, themes=tuple(THEMES), seed=6, files=[SPRITES])


def test_who_knows_everything_is_right_everywhere(few):
    examinee = Knowing(few)
    found = {row.name: row.share.value for row in rows(examinee, few)}
    assert len(found) > 30
    assert set(found.values()) == {100}
    assert all(request.memvr is None for request in examinee.asked)


def test_who_always_says_one_thing_is_right_where_that_is_true(few):
    found = {row.name: row.share.value for row in rows(Knowing(few, always="Purple."), few)}
    assert found.pop("tools: the picture is there: no call: nothing called") == 100
    assert found.pop("tools: no tool fits: nothing called") == 100
    assert max(found.values()) < 40


def test_own_earlier_answers_stand_before_later_questions(few):
    examinee = Knowing(few, always="Purple.")
    [task] = [one for one in tasks(few) if one.name.startswith("references")]
    answers(examinee, task, few)
    later = [request for request in examinee.asked if len(request.messages) > 1]
    assert later
    for request in later:
        earlier = [one for one in request.messages if one.role == "assistant"]
        assert {part.text for one in earlier for part in one.content} == {"Purple."}


TRUTH = CALL % ("send", '{"to": "Ann", "n": 3}')


@pytest.mark.parametrize(("answer", "tool", "arguments", "wholly"), [
    (TRUTH, 1, 1, 1),
    (CALL % ("send", '{"to": "Bob", "n": 3}'), 1, 0.5, 0),
    (CALL % ("send", '{"to": "Ann", "n": "3"}'), 1, 0.5, 0),
    (CALL % ("get", '{"to": "Ann", "n": 3}'), 0, 0, 0),
    (TRUTH + TRUTH, 0, 1, 0),
    ("I don't know.", 0, 0, 0),
])  # fmt: skip
def test_calls_are_judged_by_tool_and_arguments(answer, tool, arguments, wholly):
    done = said(answer)
    assert judges.right_tool(done, TRUTH) == tool
    assert judges.right_arguments(done, TRUTH) == arguments
    assert judges.right_call(done, TRUTH) == wholly
    assert judges.calls_none(done, TRUTH) == (not calls_of(answer))


def test_records_are_judged_field_by_field():
    caption = '"caption": "A farm scene with two cows."}'
    truth = '{"cows": 2, "things": ["cow", "pig"], "has_dog": false, ' + caption
    right = '{"cows": 2, "things": ["pig", "cow"], "has_dog": false, ' + caption
    wrong = '{"cows": true, "things": ["pig"], "has_dog": 0, "caption": "A farm scene with a pig."}'
    assert judges.right_record(said(right), truth) == 1
    assert judges.right_fields(said(wrong), truth) == 0
    assert judges.right_fields(said('{"cows": 2, "thi'), truth) == 0


def test_the_conclusion_about_two_pictures_is_what_counts():
    truth = "The first has a cow and a pig. In the second, a pig: yes. Only the first has a cow."
    assert judges.concludes(said("The first has a pig. Only the first has a cow."), truth)
    assert not judges.concludes(said("The first has a cow. Only the first has a pig."), truth)


def test_differences_are_paired_where_both_count_the_same():
    total = torch.ones(4)
    before = Figure(name="a", hits=torch.tensor([1.0, 0, 0, 0]), total=total)
    after = Figure(name="a", hits=torch.tensor([1.0, 1, 0, 0]), total=total)
    assert beside.difference(before, after).startswith("+25.00")
    assert beside.difference(before, Figure(name="a", hits=total, total=2 * total)) == ""


def test_both_models_stand_beside_each_other(few, monkeypatch):
    made = iter([Knowing(few), Knowing(few, always="Purple.")])
    monkeypatch.setattr(beside, "Examinee", lambda weights: next(made))
    monkeypatch.setattr(beside, "held_out_scenes", lambda *_, **__: few)
    head, _, *lines = beside.compared(Path("x"), {"same": SPRITES}, scenes=6, parts="practised")
    assert head == "| art | | shipped | these | difference |"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {cell[2] for cell in cells} == {"100.0 [100.0, 100.0]"}
    [languages] = [cell for cell in cells if cell[1] == "not in English: other languages"]
    assert languages[3:] == ["0.0 [0.0, 0.0]", "-100.00 [-100.00, -100.00]"]


def test_an_answer_is_timed_in_turn_and_as_long_for_both(few, monkeypatch):
    order = []

    class Timed:
        def __init__(self, name):
            self.name, self.backend = name, self

        def generate(self, requests):
            [request] = requests
            assert request.sampling.min_tokens == request.sampling.max_tokens
            order.append(self.name)

    monkeypatch.setattr(beside, "Examinee", Timed)
    ticks = iter(range(0, 1000))
    clock = SimpleNamespace(process_time=lambda: next(ticks))
    monkeypatch.setattr(beside, "time", clock)
    assert beside.taken(Path("x"), rounds=2) == "time of an answer: 1.000 (1.00-1.00) times"
    assert order == [beside.WEIGHTS, Path("x")] * 3


@pytest.mark.parametrize("option", ["--weights", "--unseen"])
def test_what_is_not_there_is_said(capsys, tmp_path, option):
    with pytest.raises(SystemExit):
        beside.main(["--weights", str(tmp_path), option, str(tmp_path / "none")])
    assert "none isn't there" in capsys.readouterr().err
