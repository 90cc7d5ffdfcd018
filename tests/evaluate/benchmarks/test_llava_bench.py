import json

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.llava_bench import load_llava_bench
from memvr_integrations.evaluate.running.statistics import total


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    lines = []
    for number in (0, 1, 2):
        image = f"00{number // 2}.jpg"
        (tmp_path / "images" / image).touch()
        lines.append({"question_id": number, "image": image, "category": "conv", "text": "What?"})
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_questions_about_one_image_are_one_group(folder):
    bench = load_llava_bench(folder)
    assert [question.group for question in bench.questions] == ["000.jpg", "000.jpg", "001.jpg"]
    marks = bench.marks({"0": "one two", "2": "one"})
    assert set(marks) == {"000.jpg", "001.jpg"}
    assert bench.figures(total(marks)) == {"length, words": 1.5}


def test_the_file_for_the_judge_has_the_order_of_the_questions(folder):
    bench = load_llava_bench(folder)
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


def test_a_file_with_a_gap_would_mislead_the_judge(folder):
    with pytest.raises(BenchmarkError, match="1 of 3 are missing; the first is that to '1'"):
        load_llava_bench(folder).answers_file({"0": "a", "2": "c"}, model="m")


def test_what_is_missing_is_said(folder):
    (folder / "questions.jsonl").unlink()
    with pytest.raises(BenchmarkError, match=r"questions\.jsonl.*llava-bench-in-the-wild"):
        load_llava_bench(folder)
