import pytest

from memvr_integrations.grounding.citing import Marks, cited_numbers, lines, unmarked


def read(shown, *pieces, own=True):
    reader = Marks(range(1, shown + 1), own=own)
    given_out = [reader.read(piece) for piece in pieces]
    return "".join([*given_out, reader.finish()])


@pytest.mark.parametrize(
    ("pieces", "given_out"),
    [
        (["A cat [2]."], "A cat [2]."),
        (["A cat [", "2", "], a dog [1]"], "A cat [2], a dog [1]"),
        (["A cat [7] sat [2]."], "A cat sat [2]."),
        (["A cat [", "9", "9", "] sat."], "A cat sat. [1][2]"),
        (["A list [of things"], "A list [of things [1][2]"),
        (["Open ["], "Open [ [1][2]"),
        (["Zero [0]"], "Zero [1][2]"),
        (["Both [1, 2]."], "Both [1][2]."),
        (["All [1-", "3]!"], "All [1][2]!"),
        (["Cut [1"], "Cut [1][2]"),
        (["[9] ", "A cat [1]."], "A cat [1]."),
        ([""], ""),
    ],
)
def test_marks_that_stand_for_nothing_are_taken_out(pieces, given_out):
    assert read(2, *pieces) == given_out
    assert read(2, *"".join(pieces)) == given_out  # letter by letter


def test_text_is_held_back_only_where_a_mark_may_begin():
    reader = Marks([1])
    assert reader.read("A cat") == "A cat"
    assert reader.read(" ") == ""
    assert reader.read("sat [1") == " sat"
    assert reader.read("]") == " [1]"
    assert reader.finish() == ""


def test_marks_of_a_model_that_was_shown_no_numbers_mean_nothing():
    assert read(1, "A cat [1] and [", "2].", own=False) == "A cat and. [1]"


def test_numbers_are_read_out_of_marks():
    assert cited_numbers("A cat [2], dogs [4-6] and [1, 9].") == {1, 2, 4, 5, 6, 9}
    assert cited_numbers("None [of them].") == set()
    assert unmarked("A cat [2] sat. [1") == "A cat sat."


def test_answers_about_one_picture_each_are_lines():
    assert lines([(1, "A cat."), (2, ""), (3, "A dog.")]) == "A cat. [1]\nA dog. [3]"
