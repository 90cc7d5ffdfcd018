import random

import pytest
from bundled_model.conversations.unknowable import unknowable
from bundled_model.conversations.wordings.phrasings import HELD_OUT, TRAINED, held_out_question
from bundled_model.exam.seen_wordings import is_familiar
from bundled_model.exam.typed_exam import SETS, typed_questions

SLOTS = {
    "a": "a dog",
    "c": "dog",
    "p": "dogs",
    "the": "the dogs",
    "is_": "are",
    "color": "red",
    "other": "the cow",
    "way": "further up than",
}


@pytest.mark.parametrize("question", ["is there a dog in the image", "Where is the red cup?"])
def test_signs_things_and_colors_do_not_matter(question):
    assert is_familiar(question)


def test_every_plain_wording_is_familiar():
    for kind in ("exists", "count", "color", "where", "caption", "list", "is related", "box"):
        assert is_familiar(TRAINED[kind][0].format(**SLOTS)), kind
    rng = random.Random(0)
    for _ in range(50):
        assert is_familiar(unknowable("orange", rng).question)


def test_no_held_out_wording_is_familiar():
    rng = random.Random(0)
    for kind in HELD_OUT:
        for _ in range(20):
            assert not is_familiar(held_out_question(kind, rng, **SLOTS)), kind


def test_both_sets_have_questions_of_both_sorts():
    for name in SETS:
        found = [is_familiar(one.question) for one in typed_questions(name)]
        assert 30 < sum(found) < 200
