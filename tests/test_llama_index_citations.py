import pytest

from memvr_integrations.llama_index.citations import Marks


def read(shown, *pieces):
    reader = Marks(shown)
    told = [reader.read(piece) for piece in pieces]
    return "".join([*told, reader.finish()])


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (["A cat [2]."], "A cat [2]."),
        (["A cat [", "2", "], a dog [1]"], "A cat [2], a dog [1]"),
        (["A cat [7] sat [2]."], "A cat sat [2]."),
        (["A cat [", "9", "9", "] sat."], "A cat sat. [1][2]"),
        (["A list [of things"], "A list [of things [1][2]"),
        (["Open ["], "Open [ [1][2]"),
        (["Zero [0]"], "Zero [1][2]"),
        ([""], " [1][2]"),
    ],
)
def test_marks_that_stand_for_nothing_are_taken_out(pieces, told):
    assert read(2, *pieces) == told
    assert read(2, *"".join(pieces)) == told  # letter by letter


def test_text_is_held_back_only_where_a_mark_may_begin():
    reader = Marks(1)
    assert reader.read("A cat") == "A cat"
    assert reader.read(" ") == ""
    assert reader.read("sat [1") == " sat"
    assert reader.read("]") == " [1]"
    assert reader.finish() == ""
