"""What an explanation says in sentences."""

import numpy as np
from explanations import explanation, hot, token

FLAT = np.ones((8, 8), np.float32)


def test_the_answer_its_place_and_how_sure():
    made = explanation(token("Yes", hot(2, 4)), token(",", content=False, output_entropy=0.9))
    assert made.to_text().splitlines() == [
        "Yes,",
        "farm.png: the answer came from around left 64, top 16, right 96, bottom 32 of its 128 x "
        "64 pixels. A second method, occlusion, agrees: 0.90 (0.5 is chance).",
        "Unsureness: 0.25 (0 is sure, 1 is not at all).",
    ]


def test_a_flat_map_is_said_to_be_flat():
    said = explanation(token("No", FLAT)).to_text()
    assert "farm.png: no place; the map is flat. Nothing stands out here" in said
    assert "left" not in said


def test_a_place_that_a_second_method_denies_is_none():
    said = explanation(token("Yes", hot(2, 4), agreement=0.3)).to_text()
    assert "farm.png: no place. A second method, occlusion, does not agree: 0.30" in said
    assert "left" not in said


def test_each_picture_has_its_line():
    made = explanation(token("Yes", hot(2, 4), hot(0, 0, heat=0.01) * 1e-3), names=("a", "b"))
    [_, first, second, _] = made.to_text().splitlines()
    assert first.startswith("a: the answer came from around left")
    assert "100% of the heat is in this picture" in first
    assert (
        second == "b: no place; the map is flat. Nothing stands out here: don't read it as a place."
    )


def test_next_to_nothing_is_no_place():
    made = explanation(token("Yes", hot(2, 4), hot(5, 5) * 1e-3), names=("a", "b"))
    assert "b: no place. Next to nothing came from this picture" in made.to_text()


def test_an_answer_without_words():
    made = explanation(token(" ", hot(2, 4), output_entropy=None))
    assert made.to_text().splitlines()[0] == "(no words)"
    assert "Unsureness: 0.00" in made.to_text()


def test_an_explanation_is_short_where_it_is_printed():
    made = explanation(token("Yes", hot(2, 4)), token(" indeed", hot(2, 4)))
    method = made.method
    assert repr(made) == f"Explanation('Yes indeed' of bundled on farm.png, by {method})"
    assert len(repr(made.tokens[0])) < 300
