"""Asking a benchmark's questions: each once, in turns, whatever fails or ends meanwhile."""

from pathlib import Path

import pytest
from PIL import Image as Pillow
from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.errors import BackendClosedError, ImageError
from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.running.asking import Asking, Strategy
from memvr_integrations.evaluate.running.runs import Run
from memvr_integrations.memvr import MemVRConfig

PICTURE = Pillow.new("RGB", (8, 8))
QUESTIONS = [
    Question(id=str(n), text=f"Number {n}?", images=(PICTURE,), group=str(n // 2)) for n in range(5)
]
WAYS = [Strategy(name="plain"), Strategy(name="memvr", memvr=MemVRConfig())]


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, {"a": 1}, ways={})


def test_every_way_gets_every_question_once_in_turns(run):
    engine = ScriptedEngine()
    Asking(engine, run, batch=2, progress=False).ask(QUESTIONS, WAYS, [0, 1])
    asked = [
        (text_of(r.messages[0]), r.memvr is not None, r.sampling.seed) for r in engine.requests
    ]
    assert len(asked) == len(set(asked)) == 5 * 2 * 2
    assert asked[:4] == [
        ("Number 0?", False, 0),
        ("Number 1?", False, 0),
        ("Number 0?", True, 0),
        ("Number 1?", True, 0),
    ]
    assert all(len(request.images) == 1 for request in engine.requests)
    assert run.texts("memvr", 1)["4"] == "This is what the script says."
    engine.requests.clear()
    Asking(engine, run, progress=False).ask(QUESTIONS, WAYS, [0, 1])
    assert engine.requests == []


class Dying(ScriptedEngine):
    """Answers some lists, then is gone."""

    lists = 3

    def generate(self, requests):
        self.lists -= 1
        if self.lists < 0:
            raise BackendClosedError("gone")
        return super().generate(requests)


def test_what_was_answered_stays_when_the_model_goes(run, tmp_path):
    engine = Dying()
    with pytest.raises(BackendClosedError):
        Asking(engine, run, batch=2, progress=False).ask(QUESTIONS, WAYS, [0])
    assert len(Run(tmp_path, {"a": 1}, ways={})) == 6
    Asking(ScriptedEngine(), run, batch=2, progress=False).ask(QUESTIONS, WAYS, [0])
    assert len(run) == 10


class Picky(ScriptedEngine):
    """Refuses one question, and with it the list that it is in."""

    def generate(self, requests):
        if any("Number 3?" in text_of(request.messages[0]) for request in requests):
            raise ImageError("this picture\ncan't be read")
        return super().generate(requests)


def test_a_question_that_fails_is_noted_and_spoils_no_other(run):
    Asking(Picky(), run, progress=False).ask(QUESTIONS, WAYS[:1], [0])
    assert run.texts("plain", 0).keys() == {"0", "1", "2", "4"}
    [failed] = [answer for answer in run if answer.error]
    assert (failed.question, failed.error) == ("3", "this picture can't be read")


def test_files_are_given_as_files(run, scene_file, backend):
    missing = Question(id="b", text="A dog?", images=(Path("nowhere.png"),), group="b")
    there = Question(id="a", text="A dog?", images=(scene_file,), group="a", max_tokens=4)
    ways = [Strategy(name="memvr", memvr=backend.preset.changed({"entropy_threshold": 0.0}))]
    Asking(backend, run, progress=False).ask([there, missing], ways, [0])
    [good, bad] = sorted(run, key=lambda answer: answer.question)
    assert 0 < good.retraced == good.tokens <= 4
    assert good.seconds > 0
    assert "nowhere.png" in bad.error


def test_the_shuffled_control_sees_another_groups_image(run, scene_file):
    pictures = [Pillow.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    questions = [
        Question(id=str(n), text=f"{n}?", images=(pictures[n],), group=str(n)) for n in range(3)
    ]
    engine = ScriptedEngine()
    ways = [Strategy(name="shuffled", memvr=MemVRConfig(control="shuffled"))]
    Asking(engine, run, progress=False).ask(questions, ways, [0])
    assert not any(answer.error for answer in run)
    for n, request in enumerate(engine.requests):
        [other] = request.evidence
        assert other.source is pictures[(n + 1) % 3]
