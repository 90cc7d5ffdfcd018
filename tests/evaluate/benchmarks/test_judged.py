"""Benchmarks whose answers a judge marks: their questions, and the files for the judge."""

import json

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import Submission
from memvr_integrations.evaluate.benchmarks.judged import load_llava_bench, load_mm_vet
from memvr_integrations.evaluate.running.statistics import total


@pytest.fixture
def llava_bench(tmp_path):
    (tmp_path / "images").mkdir()
    lines = []
    for number in (0, 1, 2):
        image = f"00{number // 2}.jpg"
        (tmp_path / "images" / image).touch()
        lines.append({"question_id": number, "image": image, "category": "conv", "text": "What?"})
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_questions_about_one_image_are_one_group(llava_bench):
    bench = load_llava_bench(llava_bench)
    assert [question.group for question in bench.questions] == ["000.jpg", "000.jpg", "001.jpg"]
    marks = bench.marks({"0": "one two", "2": "one"})
    assert set(marks) == {"000.jpg", "001.jpg"}
    assert bench.figures(total(marks)) == {"length, words": 1.5}


def test_the_file_for_the_judge_has_the_order_of_the_questions(llava_bench):
    bench = load_llava_bench(llava_bench)
    text = bench.answers_file({"2": "c", "0": "a", "1": "b"}, model="m")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(one["question_id"], one["text"]) for one in lines] == [(0, "a"), (1, "b"), (2, "c")]
    assert lines[0] == {
        "question_id": 0,
        "prompt": "What?",
        "text": "a",
        "answer_id": "0",
        "model_id": "m",
        "metadata": {},
    }


def test_a_file_with_a_gap_would_mislead_the_judge(llava_bench):
    with pytest.raises(BenchmarkError, match="1 of 3 are missing; the first is that to '1'"):
        load_llava_bench(llava_bench).answers_file({"0": "a", "2": "c"}, model="m")


def test_what_is_missing_is_said(llava_bench):
    (llava_bench / "questions.jsonl").unlink()
    with pytest.raises(BenchmarkError, match=r"questions\.jsonl.*llava-bench-in-the-wild"):
        load_llava_bench(llava_bench)


@pytest.fixture
def mm_vet(tmp_path):
    entries = {
        f"v1_{number}": {"imagename": f"v1_{number}.png", "question": "What?", "answer": "x"}
        for number in (0, 1)
    }
    (tmp_path / "mm-vet" / "images").mkdir(parents=True)
    (tmp_path / "mm-vet" / "mm-vet.json").write_text(json.dumps(entries))
    for one in entries.values():
        (tmp_path / "mm-vet" / "images" / one["imagename"]).touch()
    return tmp_path


def test_length_alone_is_counted(mm_vet):
    bench = load_mm_vet(mm_vet)
    answers = {"v1_0": "A red bus.", "v1_1": "A very long red bus."}
    assert bench.figures(total(bench.marks(answers))) == {"length, words": 4}
    assert bench.figures({}) == {}
    assert bench.right(answers) == {}


def test_the_file_for_mm_vets_judge(mm_vet):
    bench = load_mm_vet(mm_vet)
    assert isinstance(bench, Submission)
    answers = {"v1_1": "Ein Übel", "v1_0": "A bus."}
    assert json.loads(bench.answers_file(answers, model="m")) == answers


def test_malformed_entries_are_named(mm_vet):
    path = mm_vet / "mm-vet" / "mm-vet.json"
    path.write_text('{"v1_0": {"imagename": "a.png"}}')
    with pytest.raises(BenchmarkError, match=r"mm-vet\.json, 'v1_0': there is no field 'question'"):
        load_mm_vet(mm_vet)
    path.unlink()
    with pytest.raises(BenchmarkError, match=r"download/v1/mm-vet\.zip"):
        load_mm_vet(mm_vet)
