"""A whole evaluation, on the bundled model and on a scripted one."""

import json
import os
import signal
import time
from collections import Counter
from dataclasses import replace

import pytest
from forked import forked
from PIL import Image as Pillow
from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.errors import ConfigError, ImageError, MemVRError
from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.benchmarks.bundled_scenes import load_scenes
from memvr_integrations.evaluate.benchmarks.own.data import load_own
from memvr_integrations.evaluate.running.evaluation import (
    FIGURES,
    PAGE,
    SUBMISSIONS,
    TABLE,
    evaluate,
)
from memvr_integrations.evaluate.running.runs import ANSWERS
from memvr_integrations.evaluate.running.ways import strategies
from memvr_integrations.memvr import MemVRConfig

PICTURE = Pillow.new("RGB", (8, 8))


class Even:
    """A benchmark about numbers: is it even? Two questions a group."""

    name = "even"
    questions = tuple(
        Question(id=str(n), text=f"Is {n} even?", images=(PICTURE,), group=str(n // 2))
        for n in range(20)
    )

    def marks(self, answers):
        marks = {}
        for one, right in self.right(answers).items():
            counts = marks.setdefault(str(int(one) // 2), Counter())
            counts.update({"asked": 1, "right": right})
        return marks

    def figures(self, counts):
        return {"accuracy": 100 * counts["right"] / counts["asked"]} if counts else {}

    def right(self, answers):
        return {one: (text == "yes") == (int(one) % 2 == 0) for one, text in answers.items()}


def speak(request):
    """Knows with MemVR; without it says yes to everything but one."""
    number = int(text_of(request.messages[0]).split()[1])
    if request.memvr is not None:
        return "yes" if number % 2 == 0 else "no"
    return "no" if number == 19 else "yes"


@pytest.fixture
def engine():
    return ScriptedEngine(speak)


def test_strategies_are_compared_in_pairs(engine, tmp_path):
    ways = strategies(["memvr"], MemVRConfig())
    plain, memvr = evaluate(engine, Even(), ways, tmp_path / "run", batch=4, progress=False)
    assert plain.figures["accuracy"].value == pytest.approx(55)
    assert plain.changes == {}
    assert memvr.figures["accuracy"].value == 100
    change = memvr.changes["accuracy"]
    assert change.value == pytest.approx(45)
    assert 0 < change.low < 45 <= change.high
    assert memvr.p == pytest.approx(2 * 0.5**9)
    assert (plain.other, memvr.other) == (None, (9, 20))
    assert (memvr.answered, memvr.failed) == (20, 0)
    for name, text in ((TABLE, "accuracy"), (PAGE, "</html>"), (FIGURES, '"strategy"')):
        assert text in (tmp_path / "run" / name).read_text()
    assert len((tmp_path / "run" / FIGURES).read_text().splitlines()) == 2
    asked = len(engine.requests)
    evaluate(engine, Even(), ways, tmp_path / "run", progress=False)
    assert len(engine.requests) == asked == 40


def test_the_report_leads_to_questions_with_pictures(engine, tmp_path):
    ways = strategies(["memvr"], MemVRConfig())
    evaluate(engine, Even(), ways, tmp_path / "run", progress=False)
    report = (tmp_path / "run" / PAGE).read_text()
    assert "memvr against plain" in report
    assert 'href="questions.html#flipped=1"' in report
    page = (tmp_path / "run" / "questions.html").read_text()
    assert page.count("<section ") == 20
    assert page.count("<img ") == 1  # all are about one picture
    assert page.count('data-flipped="1"') == 9
    assert page.count("unsureness 0.20") == 40
    assert 'value="0.50"' in page  # this engine knows no threshold of its own
    engine.abstention = 0.3
    evaluate(engine, Even(), ways, tmp_path / "run", progress=False)
    assert 'value="0.30"' in (tmp_path / "run" / "questions.html").read_text()


def test_a_file_of_ones_own_goes_on_wherever_it_lies(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    text = "image,question,answer\na.png,Is 2 even?,yes\na.png,Is 3 even?,no\n"
    engine, ways = ScriptedEngine(speak), strategies(["memvr"], MemVRConfig())
    for folder, name in ((tmp_path, "own.csv"), (tmp_path / "moved", "other.csv")):
        folder.mkdir(exist_ok=True)
        PICTURE.save(folder / "a.png")
        (folder / name).write_text(text)
        own = load_own(folder / name)
        _, memvr = evaluate(engine, own, ways, tmp_path / "run", progress=False)
        assert memvr.figures["yes-no/accuracy"].value == 100
        assert len(engine.requests) == 4
    page = (tmp_path / "run" / "questions.html").read_text()
    assert page.count("yes/no, derived from the row") == 2
    table = (tmp_path / "run" / TABLE).read_text()
    assert "1 picture: 2 yes/no" in table
    assert "Of 1 groups, intervals come out too narrow" in table
    plan = json.loads((tmp_path / "run" / "run.json").read_text())["plan"]
    assert plan["digest"] == own.content_hash
    (tmp_path / "own.csv").write_text(text.replace("3", "5"))
    with pytest.raises(ConfigError, match="holds another evaluation"):
        evaluate(engine, load_own(tmp_path / "own.csv"), ways, tmp_path / "run", progress=False)


def test_files_for_servers_are_written_for_every_strategy(engine, tmp_path):
    from typing import ClassVar

    from memvr_integrations.errors import MemVRWarning
    from memvr_integrations.evaluate.benchmarks.benchmark import all_answered

    class Sent(Even):
        suffix: ClassVar[str] = "json"

        def answers_file(self, answers, *, model):
            return json.dumps({"model": model, "n": len(all_answered(self.questions, answers))})

    ways = strategies(["memvr"], MemVRConfig())
    evaluate(engine, Sent(), ways, tmp_path / "run", progress=False)
    for name in ("plain", "memvr"):
        written = json.loads((tmp_path / "run" / SUBMISSIONS / f"{name}-0.json").read_text())
        assert written == {"model": f"scripted-{name}", "n": 20}
    with pytest.warns(MemVRWarning, match="18 of 20 are missing"):
        evaluate(engine, Sent(), ways[:1], tmp_path / "part", limit=1, progress=False)


def test_strategies_may_be_added_later(engine, tmp_path):
    evaluate(engine, Even(), strategies([], MemVRConfig()), tmp_path, progress=False)
    asked = len(engine.requests)
    ways = strategies(["memvr"], MemVRConfig())
    assert len(evaluate(engine, Even(), ways, tmp_path, progress=False)) == 2
    assert len(engine.requests) == asked + 20


def test_what_failed_is_asked_again_with_retry(tmp_path):
    broken = [True]

    def sometimes(request):
        if broken[0] and "Is 3 even" in text_of(request.messages[0]):
            raise ImageError("gone for now")
        return speak(request)

    ways = strategies([], MemVRConfig())
    [line] = evaluate(ScriptedEngine(sometimes), Even(), ways, tmp_path, progress=False)
    assert (line.answered, line.failed) == (19, 1)
    broken[0] = False
    engine = ScriptedEngine(sometimes)
    [line] = evaluate(engine, Even(), ways, tmp_path, progress=False)
    assert line.failed == 1
    [line] = evaluate(engine, Even(), ways, tmp_path, retry=True, progress=False)
    assert (line.answered, line.failed, len(engine.requests)) == (20, 0, 1)


def test_one_way_that_fails_leaves_the_others_alone(tmp_path):
    def speaking(request):
        if request.memvr is not None:
            raise ImageError("can't")
        return speak(request)

    ways = strategies(["memvr"], MemVRConfig())
    run = tmp_path / "run"
    plain, memvr = evaluate(ScriptedEngine(speaking), Even(), ways, run, progress=False)
    assert plain.figures["accuracy"].value == pytest.approx(55)
    assert (memvr.figures, memvr.changes, memvr.failed, memvr.other) == ({}, {}, 20, None)
    assert "questions that failed" in (run / TABLE).read_text()


@pytest.mark.parametrize(
    ("names", "more", "text"),
    [
        (["shuffled"], {"limit": 1}, "retraces another image"),
        ([], {"seeds": [-1]}, "seed=-1"),
    ],
)
def test_what_would_fail_at_every_question_is_refused(engine, tmp_path, names, more, text):
    with pytest.raises(MemVRError, match=text):
        evaluate(engine, Even(), strategies(names, MemVRConfig()), tmp_path / "run", **more)
    assert not engine.requests
    assert not (tmp_path / "run").exists()


def test_a_limit_keeps_whole_groups_and_other_plans_are_refused(engine, tmp_path):
    ways = strategies([], MemVRConfig())
    [line] = evaluate(engine, Even(), ways, tmp_path, limit=3, progress=False)
    assert line.answered == 6
    with pytest.raises(ConfigError, match="questions: 6 there, 20 now"):
        evaluate(engine, Even(), ways, tmp_path, progress=False)


def test_several_seeds_count_in_their_groups(engine, tmp_path):
    ways = strategies(["memvr"], MemVRConfig(), temperature=0.7)
    _, memvr = evaluate(engine, Even(), ways, tmp_path, seeds=[0, 1, 2], progress=False)
    assert memvr.answered == 60
    assert memvr.p == pytest.approx(2 * 0.5**9)  # a question counts once, however often asked


def test_the_bundled_model_on_its_scenes(backend, tmp_path):
    ways = strategies(["memvr", "damping"], backend.preset)
    scenes = load_scenes(count=2)
    few = replace(scenes, questions=scenes.questions[-1:] + scenes.questions[:-2:5])
    lines = evaluate(backend, few, ways, tmp_path, progress=False)
    assert [line.strategy for line in lines] == ["plain", "memvr", "damping"]
    assert all(figure.value >= 0 for line in lines for figure in line.figures.values())
    assert lines[0].retraced == 0
    assert lines[1].tokens_per_second > 0


def test_killed_twice_nothing_is_lost_or_twice(engine, tmp_path):
    """Two evaluations one after the other in processes of their own, each killed after some."""
    answers, ways, seen = tmp_path / "run" / ANSWERS, strategies(["memvr"], MemVRConfig()), 0

    def slow(request):
        time.sleep(0.05)
        return speak(request)

    for _ in range(2):
        child = forked(
            lambda: evaluate(
                ScriptedEngine(slow), Even(), ways, tmp_path / "run", batch=2, progress=False
            )
        )
        end = time.monotonic() + 60
        while time.monotonic() < end and lines_of(answers) <= seen:
            time.sleep(0.02)
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert lines_of(answers) > seen
        seen = lines_of(answers)
    assert 0 < seen < 40
    evaluate(engine, Even(), ways, tmp_path / "run", batch=2, progress=False)
    written = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len({(one["strategy"], one["question"]) for one in written}) == len(written) == 40
    assert len(engine.requests) <= 40 - seen + 1


def lines_of(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0
