import math

import pytest

from memvr_integrations.grounding.asking_back import relevance, visible_things


def test_what_no_picture_shows_is_left_out():
    words = ["picture", "many", "cats", "boxes", "2", "two", "cat"]
    assert visible_things(words) == ["box", "cat"]
    assert visible_things([]) == []


def test_a_picture_is_relevant_when_it_shows_everything():
    assert relevance([0.9, 0.4]) == pytest.approx(0.6)
    assert relevance([0.25]) == pytest.approx(0.25)
    assert relevance([1.0, 0.0]) == pytest.approx(math.sqrt(1e-9))  # rare, but no end of all order
