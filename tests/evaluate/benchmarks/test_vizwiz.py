import json

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.vizwiz import agreement, load_vizwiz
from memvr_integrations.evaluate.running.statistics import total

PEOPLE = ["coke"] * 2 + ["Coke."] + ["coca cola"] * 2 + ["unanswerable"] * 5


def write(folder, split, *, people):
    entries = [
        {"image": f"{number}.jpg", "question": f"What is this {number}?"} for number in (1, 2)
    ]
    if people:
        for one in entries:
            one["answers"] = [{"answer": text, "answer_confidence": "yes"} for text in people]
    (folder / f"{split}.json").write_text(json.dumps(entries, indent=0))
    (folder / split).mkdir()
    for one in entries:
        (folder / split / one["image"]).touch()


@pytest.mark.parametrize(
    ("said", "share"),
    [
        # Of ten people three say coke: leave one of those out and 2 / 3 are left, else 3 / 3.
        ("coke", (3 * 2 / 3 + 7 * 1) / 10),
        # Two say coca cola: 1 / 3 left for two of the ten, 2 / 3 for the others.
        ("coca cola", (2 * 1 / 3 + 8 * 2 / 3) / 10),
        ("unanswerable", 1),
        ("pepsi", 0),
    ],
)
def test_agreement_by_hand(said, share):
    assert agreement(said, PEOPLE) == pytest.approx(share)


def test_by_hand(tmp_path):
    write(tmp_path, "val", people=PEOPLE)
    write(tmp_path, "test", people=None)
    vizwiz = load_vizwiz(tmp_path)
    assert vizwiz.questions[0].images == (tmp_path / "val" / "1.jpg",)
    assert vizwiz.questions[0].text.startswith("What is this 1?\nWhen the provided")
    marks = vizwiz.marks({"1.jpg": "The coke", "2.jpg": "Unanswerable."})
    figures = vizwiz.figures(total(marks))
    assert figures == pytest.approx({"accuracy": 95, "unanswerable": 50})
    assert vizwiz.right({}) == {}
    assert vizwiz.truth(vizwiz.questions[0]) == "coke, Coke., coca cola, unanswerable"


def test_the_test_split_has_no_accuracy_but_a_file_for_the_server(tmp_path):
    write(tmp_path, "test", people=None)
    vizwiz = load_vizwiz(tmp_path)
    answers = {"1.jpg": "The two dogs."}
    assert vizwiz.figures(total(vizwiz.marks(answers))) == {"unanswerable": 0}
    assert vizwiz.truth(vizwiz.questions[0]) == ""
    with pytest.raises(BenchmarkError, match="1 of 2 are missing"):
        vizwiz.answers_file(answers, model="m")
    entries = json.loads(vizwiz.answers_file(answers | {"2.jpg": "Yes."}, model="m"))
    assert entries == [{"image": "1.jpg", "answer": "2 dogs"}, {"image": "2.jpg", "answer": "yes"}]


def test_malformed_entries_are_named(tmp_path):
    write(tmp_path, "val", people=PEOPLE)
    (tmp_path / "val.json").write_text('[\n{"image": "1.jpg", "question": "?", "answers": []}\n]')
    with pytest.raises(BenchmarkError, match=r"val\.json, line 2: 'answers' is empty"):
        load_vizwiz(tmp_path)
    (tmp_path / "val.json").write_text('[\n{"image": "1.jpg", "question": "?"}\n]')
    with pytest.raises(BenchmarkError, match=r"line 2: there is no field 'answers'"):
        load_vizwiz(tmp_path)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(BenchmarkError, match=r"val\.json.*VizWiz_final"):
        load_vizwiz(tmp_path)
