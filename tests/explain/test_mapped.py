"""What an explanation says of places: maps, boxes, agreement."""

import numpy as np
import pytest
from explanations import explanation, hot, token

from memvr_integrations.errors import ConfigError
from memvr_integrations.explain.boxes import box_of
from memvr_integrations.explain.maps import agreement, is_flat


def share(values):
    return values / values.sum()


def test_a_map_adds_up_the_words_with_content():
    made = explanation(token("A", hot(0, 0), content=False), token(" dog", hot(4, 4)))
    np.testing.assert_allclose(made.map(), share(hot(4, 4)), rtol=1e-5)
    both = (share(hot(0, 0)) + share(hot(4, 4))) / 2
    np.testing.assert_allclose(made.map(tokens=[0, 1]), both, rtol=1e-5)
    empty = explanation(token("A", hot(0, 0), content=False))
    np.testing.assert_allclose(empty.map(), share(hot(0, 0)), rtol=1e-5)


def test_words_that_point_nowhere_are_left_out_beside_others():
    even = np.ones((8, 8), np.float32)
    made = explanation(token("three", even, agreement=0.3), token(" sheep", hot(4, 4)))
    np.testing.assert_allclose(made.map(), share(hot(4, 4)), rtol=1e-5)
    assert made.agreement() == 0.9
    assert explanation(token("three", even)).flat()


def test_every_word_counts_alike_over_all_pictures():
    one = token("a", hot(0, 0, heat=9.0), hot(4, 4))
    other = token("b", hot(1, 1, heat=0.02), hot(2, 2, heat=0.02))
    made = explanation(one, other, names=("1", "2"))
    assert sum(made.map(image).sum() for image in (0, 1)) == pytest.approx(1)
    alone = explanation(one, names=("1", "2"))
    assert alone.map(0).sum() > 4 * alone.map(1).sum()


def test_what_speaks_against_is_not_shown_as_heat():
    made = explanation(token("dog", -hot(1, 1)))
    assert made.map().max() == 0
    assert made.flat()
    assert made.box() is None


def test_the_difference_is_on_less_off():
    made = explanation(token("dog", hot(1, 1), off=[hot(5, 5)]))
    np.testing.assert_allclose(made.difference(), share(hot(1, 1)) - share(hot(5, 5)), atol=1e-6)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda made: made.map(image=1), "no image 1: the request has 1"),
        (lambda made: made.box(image=-1), "no image -1: the request has 1"),
        (lambda made: made.map(tokens=[1]), r"Token 1 was not explained; explained are \[0\]"),
        (lambda made: made.map(tokens=[]), "explained are"),
    ],
)
def test_what_is_not_there_is_refused(ask, says):
    with pytest.raises(ConfigError, match=says):
        ask(explanation(token("dog", hot(1, 1)), token(".", content=False)))


def test_where_nothing_was_explained_there_is_nothing_to_show(tmp_path):
    made = explanation(token("", content=False))
    for door in (made.map, made.to_html, made.to_dict, made.to_terminal):
        with pytest.raises(ConfigError, match="None of the answer's 1 tokens was explained"):
            door()
    with pytest.raises(ConfigError, match="None of the answer's 1 tokens was explained"):
        made.save_png(tmp_path / "map.png")
    assert list(tmp_path.iterdir()) == []


def test_a_box_is_in_the_pictures_pixels():
    made = explanation(token("dog", hot(2, 4)), size=(160, 80))
    left, top, right, bottom = made.box()
    assert pytest.approx((left, top, right, bottom), abs=1) == (80, 20, 120, 40)


def test_no_box_where_methods_disagree():
    assert explanation(token("dog", hot(2, 4), agreement=0.5)).box() is None
    assert explanation(token("dog", hot(2, 4), agreement=None)).box() is not None


def test_no_box_where_next_to_nothing_came_from():
    made = explanation(token("dog", hot(2, 4), 0.01 * hot(3, 3)), names=("a", "b"))
    assert made.share(1) == pytest.approx(0.01 / 1.01, abs=1e-4)
    assert made.box(1) is None
    assert made.box(0) is not None


def test_a_cool_edge_moves_a_box_in():
    values = hot(2, 2)
    values[2:4, 4] = 0.25
    assert box_of((80, 80), values) == pytest.approx((20, 20, 42.5, 40))
    values[2:4, 4] = 0.15  # below a fifth
    assert box_of((80, 80), values) == pytest.approx((20, 20, 40, 40))


def test_only_what_touches_the_hottest_is_in_a_box():
    values = hot(0, 0) + hot(6, 6, heat=0.9)
    assert box_of((80, 80), values) == pytest.approx((0, 0, 20, 20))
    values = hot(0, 0) + hot(2, 2, heat=0.9)  # corner to corner
    assert box_of((80, 80), values)[2] > 35


def test_flat_and_agreement():
    even = np.ones((8, 8), np.float32)
    assert is_flat(even)
    assert is_flat(np.full((8, 8), np.nan, np.float32))
    assert not is_flat(hot(0, 0))
    assert agreement(hot(0, 0), hot(0, 0)) > 0.8
    assert agreement(hot(0, 0), hot(5, 5)) < 0.6
    assert agreement(hot(0, 0), even) is None
    rng = np.random.default_rng(0)
    by_chance = [agreement(rng.random((8, 8)), rng.random((8, 8))) for _ in range(200)]
    assert np.mean(by_chance) == pytest.approx(0.5, abs=0.02)
