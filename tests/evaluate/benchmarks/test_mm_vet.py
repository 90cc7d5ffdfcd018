import json

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import Submission
from memvr_integrations.evaluate.benchmarks.mm_vet import load_mm_vet
from memvr_integrations.evaluate.running.statistics import total


@pytest.fixture
def folder(tmp_path):
    entries = {
        f"v1_{number}": {"imagename": f"v1_{number}.png", "question": "What?", "answer": "x"}
        for number in (0, 1)
    }
    (tmp_path / "mm-vet" / "images").mkdir(parents=True)
    (tmp_path / "mm-vet" / "mm-vet.json").write_text(json.dumps(entries))
    for one in entries.values():
        (tmp_path / "mm-vet" / "images" / one["imagename"]).touch()
    return tmp_path


def test_length_alone_is_counted(folder):
    bench = load_mm_vet(folder)
    answers = {"v1_0": "A red bus.", "v1_1": "A very long red bus."}
    assert bench.figures(total(bench.marks(answers))) == {"length, words": 4}
    assert bench.figures({}) == {}
    assert bench.right(answers) is None


def test_the_file_for_the_judge(folder):
    bench = load_mm_vet(folder)
    assert isinstance(bench, Submission)
    answers = {"v1_1": "Ein Übel", "v1_0": "A bus."}
    assert json.loads(bench.answers_file(answers, model="m")) == answers


def test_malformed_entries_are_named(folder):
    path = folder / "mm-vet" / "mm-vet.json"
    path.write_text('{"v1_0": {"imagename": "a.png"}}')
    with pytest.raises(BenchmarkError, match=r"mm-vet\.json, 'v1_0': there is no field 'question'"):
        load_mm_vet(folder)
    path.unlink()
    with pytest.raises(BenchmarkError, match=r"download/v1/mm-vet\.zip"):
        load_mm_vet(folder)
