import json

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.mmvp import chosen, load_mmvp
from memvr_integrations.evaluate.running.statistics import total

OPTIONS = "(a) Open (b) Closed"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "MMVP Images").mkdir()
    rows = ["Index,Question,Options,Correct Answer"]
    for number, truth in enumerate("abab", start=1):
        (tmp_path / "MMVP Images" / f"{number}.jpg").touch()
        rows.append(f'{number},"Are they open, or closed?",{OPTIONS},({truth})')
    (tmp_path / "Questions.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_rows_are_pairs(folder):
    mmvp = load_mmvp(folder)
    assert [question.group for question in mmvp.questions] == ["pair 1"] * 2 + ["pair 2"] * 2
    assert mmvp.questions[2].text == f"Are they open, or closed? {OPTIONS}"
    assert mmvp.questions[2].images == (folder / "MMVP Images" / "3.jpg",)


def test_by_hand(folder):
    mmvp = load_mmvp(folder)
    answers = {"1": "(a)", "2": "(b) Closed", "3": "Closed", "4": "hard to say"}
    assert mmvp.right(answers) == {"1": True, "2": True, "3": False, "4": False}
    assert all(mmvp.right({one.id: mmvp.truth(one) for one in mmvp.questions}).values())
    figures = mmvp.figures(total(mmvp.marks(answers)))
    assert figures == {"pair accuracy": 50, "accuracy": 50, "unsure": 25}
    del answers["2"]
    figures = mmvp.figures(total(mmvp.marks(answers)))
    assert figures["pair accuracy"] == 0  # of the one pair that is whole


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("(A)", "a"),
        ("b", "b"),
        ("B.", "b"),
        ("a) Open", "a"),
        ("The answer is (b).", "b"),
        ("They are closed.", "b"),
        ("A butterfly with open wings", "a"),
        ("(a) or (b)", None),
        ("Open, not closed", None),
        ("Opened", None),
        ("", None),
    ],
)
def test_which_option_an_answer_names(answer, option):
    assert chosen(answer, OPTIONS) == option


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("It is a hot dog.", "a"),
        ("It is hot. Dogs are there.", None),
        ("It is hot, dog and all", None),
        ("on the left side", "b"),
        ("On the **left** side.", "b"),
        ("Left. Side by side", None),
    ],
)
def test_options_of_several_words_do_not_reach_over_marks(answer, option):
    assert chosen(answer, "(a) Hot dog (b) Left side") == option


def test_the_marks_of_an_option_need_not_be_said():
    assert chosen("yes it is", "(a) Yes, it is (b) No, it isn't") == "a"
    assert chosen("No, it isn't.", "(a) Yes, it is (b) No, it isn't") == "b"


def test_the_file_for_the_projects_grader(folder):
    mmvp = load_mmvp(folder)
    answers = {"4": "d", "2": "b", "1": "a", "3": "c"}
    lines = mmvp.answers_file(answers, model="m").splitlines()
    _, second, _, last = (json.loads(line) for line in lines)
    assert last["response"] == "d"
    assert (second["question_id"], second["answer"], second["response"]) == (2, "(b)", "b")
    assert second["prompt"] == mmvp.questions[1].text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"3,Open?,{OPTIONS},(c)", r"line 6: 'Correct Answer' is '\(c\)'"),
        (f"x,Open?,{OPTIONS},(a)", "line 6: 'Index' is 'x'"),
        (f"{'9' * 5000},Open?,{OPTIONS},(a)", "line 6: Index '9{20}'... has 5000 characters"),
        (f"1,Open?,{OPTIONS},(a)", "line 6: Index '1' was there before"),
        ("5,Open?", "line 6: there is no field"),
    ],
)
def test_malformed_rows_are_named(folder, row, message):
    if row.startswith("3"):
        row = row.replace("3,", "7,", 1)
    with (folder / "Questions.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(BenchmarkError, match=message):
        load_mmvp(folder)


def test_what_is_missing_is_said(folder):
    (folder / "Questions.csv").unlink()
    with pytest.raises(BenchmarkError, match=r"Questions\.csv.*datasets/MMVP/MMVP"):
        load_mmvp(folder)
