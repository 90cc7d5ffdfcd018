import json

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.hallusion_bench import load_hallusion_bench
from memvr_integrations.evaluate.running.statistics import total


def entry(category, figure, question, truth, *, seen="1"):
    name = f"./hallusion_bench/{category}/chart/0_{figure}.png"
    return {
        "category": category,
        "subcategory": "chart",
        "visual_input": seen,
        "set_id": "0",
        "figure_id": figure,
        "question_id": question,
        "question": f"Question {question}?",
        "gt_answer": truth,
        "gt_answer_details": "because",
        "filename": name if seen != "0" else None,
    }


# VD: two figures with two questions each; VS: one question without a figure and with one.
ENTRIES = [
    entry("VD", "0", "0", "1"),
    entry("VD", "0", "1", "0"),
    entry("VD", "1", "0", "0", seen="2"),
    entry("VD", "1", "1", "1", seen="2"),
    entry("VS", "0", "0", "1", seen="0"),
    entry("VS", "1", "0", "0"),
]


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, ENTRIES)


def write(folder, entries):
    (folder / "HallusionBench.json").write_text(json.dumps(entries, indent=0))
    for one in entries:
        if one["filename"]:
            image = folder / one["filename"]
            image.parent.mkdir(parents=True, exist_ok=True)
            image.touch()
    return folder


def test_a_group_holds_a_whole_set(folder):
    bench = load_hallusion_bench(folder)
    assert {question.group for question in bench.questions} == {"VD/chart/0", "VS/chart/0"}
    assert bench.questions[4].images == ()
    assert bench.questions[5].images == (folder / "hallusion_bench/VS/chart/0_1.png",)


def test_by_hand(folder):
    bench = load_hallusion_bench(folder)
    said = ["Yes", "No", "No", "No", "I cannot tell.", "No."]
    answers = dict(zip((question.id for question in bench.questions), said, strict=True))
    # Wrong: the fourth alone; "cannot tell" is right where there is no figure.
    assert list(bench.right(answers).values()) == [True, True, True, False, True, True]
    assert all(bench.right({one.id: bench.truth(one) for one in bench.questions}).values())
    figures = bench.figures(total(bench.marks(answers)))
    assert figures == pytest.approx(
        {
            "aAcc": 500 / 6,
            "fAcc": 200 / 3,  # figures VD 0 and VS 1 of three; no figure counts for none
            "qAcc": 200 / 3,  # VD question 0 and VS question 0 of three
            "VD/aAcc": 75,
            "VD/fAcc": 50,
            "VD/qAcc": 50,
            "VS/aAcc": 100,
            "VS/fAcc": 100,
            "VS/qAcc": 100,
            "yes ratio": 100 / 6,
            "unsure": 100 / 6,
        }
    )


def test_not_to_know_is_wrong_where_there_is_a_figure(folder):
    bench = load_hallusion_bench(folder)
    assert bench.right({bench.questions[5].id: "I cannot tell."}) == {"VS/chart/0/1/0": False}


def test_half_answered_figures_do_not_count(folder):
    bench = load_hallusion_bench(folder)
    figures = bench.figures(total(bench.marks({"VD/chart/0/0/0": "yes"})))
    assert figures["aAcc"] == 100
    assert "fAcc" not in figures
    assert "qAcc" not in figures


def test_the_file_for_the_projects_own_judge(folder):
    bench = load_hallusion_bench(folder)
    [entry] = json.loads(bench.answers_file({"VD/chart/0/1/1": "Yes, it is."}, model="m"))
    assert entry == ENTRIES[3] | {"model_prediction": "Yes, it is."}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gt_answer": "2"}, "'gt_answer' is '2', not one of 0, 1"),
        ({"category": "XX"}, "'category'"),
        ({"filename": None}, "'filename'"),
        ({"figure_id": "0", "question_id": "0"}, "was there before"),
    ],
)
def test_malformed_entries_are_named(tmp_path, change, message):
    write(tmp_path, ENTRIES)
    broken = json.dumps([ENTRIES[0], ENTRIES[3] | change], indent=0)
    (tmp_path / "HallusionBench.json").write_text(broken)
    with pytest.raises(BenchmarkError, match=rf"HallusionBench\.json, line 14: .*{message}"):
        load_hallusion_bench(tmp_path)


def test_an_image_name_that_no_file_has_is_missing(tmp_path):
    write(tmp_path, [*ENTRIES[:3], ENTRIES[3] | {"filename": "a.png"}])
    (tmp_path / "HallusionBench.json").write_text(
        json.dumps([ENTRIES[3] | {"filename": "a" * 300}])
    )
    with pytest.raises(BenchmarkError, match="1 of 1 images are missing"):
        load_hallusion_bench(tmp_path)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(BenchmarkError, match=r"HallusionBench\.json.*tianyi-lab"):
        load_hallusion_bench(tmp_path)
