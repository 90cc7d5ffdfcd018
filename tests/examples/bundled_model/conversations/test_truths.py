"""What is true of a scene, by hand."""

import random
from dataclasses import replace

import numpy as np
import pytest
from bundled_model.conversations import truths
from bundled_model.conversations.questions import absent, where
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world import Scene, Thing


def single(x, y, name="cow", color=None):
    box = (x - 0.1, y - 0.1, x + 0.1, y + 0.1)
    return Thing(name=name, color=color, centers=((x, y),), boxes=(box,))


def test_there_are_nine_fields():
    assert len(set(truths.FIELDS)) == 9


def test_counts_end_at_more_than_four():
    assert truths.amount("cow", 0) == "There are no cows."
    assert truths.amount("cow", 1) == "There is one cow."
    assert truths.amount("mouse", 4) == "There are four mice."
    assert truths.amount("cow", 6) == "There are more than four cows."


def test_a_caption_names_everything_left_to_right():
    fork = single(0.7, 0.5, "fork")
    cups = Thing(name="cup", color="red", centers=((0.1, 0.1), (0.2, 0.5), (0.9, 0.9)))
    nothing = np.zeros(0, np.uint8)
    shown = Scene(theme="kitchen", things=(fork, cups), pixels=nothing, patches=nothing)
    assert truths.caption(shown) == "A kitchen scene with three red cups and a fork."


def test_ways_are_the_larger_distance_and_unclear_ones_are_left_out():
    assert truths.way(single(0.1, 0.5), single(0.8, 0.6)) == "left of"
    assert truths.way(single(0.5, 0.9), single(0.6, 0.2)) == "below"
    assert truths.way(single(0.2, 0.2), single(0.7, 0.7)) is None
    assert truths.is_related(single(0.1, 0.5), "right of", single(0.8, 0.6)) is False
    assert truths.is_related(single(0.5, 0.5), "right of", single(0.52, 0.1)) is None
    assert all(truths.opposite(truths.opposite(way)) == way for way in truths.WAYS)


def test_at_the_top_takes_in_its_corners():
    assert truths.lies_in("at the top left", "at the top")
    assert truths.lies_in("at the top left", "on the left")
    assert truths.lies_in("at the top", "at the top")
    assert not truths.lies_in("at the top", "at the top left")
    assert not truths.lies_in("in the center", "at the top")
    assert truths.lies_in("in the center", "in the center")


def test_what_lies_on_a_side_is_said_only_where_it_is_clear():
    cow, pig = single(0.2, 0.5), single(0.8, 0.5, "pig")
    sheep = Thing(name="sheep", color=None, centers=((0.1, 0.1), (0.9, 0.9)))
    level = single(0.25, 0.9, "horse")
    clear = _scene(cow, pig)
    assert truths.beyond(clear, "right of", cow) == [pig]
    assert truths.beyond(clear, "left of", cow) == []
    for unclear in (sheep, level):
        both = _scene(cow, unclear)
        assert truths.beyond(both, "right of", cow) is None


def test_the_nearest_is_said_only_where_it_is_clear():
    cow, pig = single(0.2, 0.5), single(0.4, 0.5, "pig")
    far, near = single(0.9, 0.9, "sheep"), single(0.2, 0.75, "horse")
    assert truths.nearest(_scene(cow, pig, far), cow) is pig
    assert truths.nearest(_scene(cow, pig, near), cow) is None
    assert truths.nearest(_scene(cow), cow) is None


def _scene(*things):
    return Scene(theme="farm", things=things, pixels=None, patches=None)


def test_boxes_are_written_in_hundredths():
    assert truths.box_text((0.124, 0.3, 0.45, 1.2)) == "[12, 30, 45, 100]"


def test_only_what_is_painted_shows_a_color():
    pixels = np.full((128, 128, 3), 128, np.uint8)
    pixels[:64, :64] = (220, 30, 30)
    things = (single(0.25, 0.25, "tomato"),)
    scene = Scene(theme="farm", things=things, pixels=pixels, patches=np.zeros((8, 8), np.uint8))
    assert not truths.only_painted(scene, "red")
    assert truths.only_painted(scene, "blue")
    painted = replace(scene, things=(single(0.25, 0.25, "cup", color="red"),))
    assert truths.only_painted(painted, "red")


def painted_over(thing, color):
    """A scene of one thing, all of its picture in one colour."""
    pixels = np.full((128, 128, 3), color, np.uint8)
    return Scene(theme="farm", things=(thing,), pixels=pixels, patches=None)


def test_a_usual_color_is_said_where_it_is_seen():
    banana = single(0.5, 0.5, name="banana")
    yellow, black = (painted_over(banana, c) for c in ((240, 205, 40), (10, 10, 10)))
    assert truths.coloring(yellow, banana) == "The banana is yellow."
    assert truths.seen_color(black, banana) is None
    assert truths.coloring(black, banana) is None


def test_paint_counts_more_than_pixels_and_other_things_have_their_usual_color():
    cup, plain = single(0.5, 0.5, name="cup", color="red"), single(0.5, 0.5, name="cup")
    cow = single(0.5, 0.5)
    assert truths.coloring(painted_over(cup, (0, 0, 0)), cup) == "The cup is red."
    assert truths.coloring(painted_over(plain, (0, 0, 0)), plain) is None
    assert truths.coloring(painted_over(cow, (0, 0, 0)), cow) == "The cow has its usual color."


@pytest.mark.parametrize(
    ("center", "words"),
    [
        ((0.1, 0.9), "at the bottom left"),
        ((0.5, 0.1), "at the top"),
        ((0.9, 0.5), "on the right"),
        ((0.5, 0.5), "in the center"),
    ],
)
def test_places_in_words(center, words):
    assert where(center) == words


EMPTY = np.zeros(0, np.uint8)


CUPS = Thing(name="cup", color="red", centers=((0.1, 0.1), (0.2, 0.5), (0.9, 0.9)))


FORK = Thing(name="fork", color=None, centers=((0.7, 0.5),))


def scene(*things, theme="kitchen"):
    return Scene(theme=theme, things=things, pixels=EMPTY, patches=EMPTY)


def test_what_is_asked_as_absent_is_absent():
    rng = random.Random(0)
    shown = scene(CUPS, FORK)
    asked = {absent(shown, rng, FIRST_THEMES) for _ in range(300)}
    assert not asked & shown.names
    assert {"spoon", "knife"} <= asked  # the partners, which tempt most
    assert any(name not in ("spoon", "knife") for name in asked)
