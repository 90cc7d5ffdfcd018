"""Boxes that models write, in pixels."""

import pytest

from memvr_integrations.backend import Box
from memvr_integrations.models.boxes import read_boxes, read_plain_boxes


def box(label, left, top, right, bottom):
    return Box(label=label, left=left, top=top, right=right, bottom=bottom, image=0)


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("A dog.", []),
        ("<ref>a dog</ref><box>(100,200),(500,1000)</box>", [box("a dog", 64, 96, 320, 480)]),
        ("<box>(0, 0), (1000, 1000)</box>", [box("", 0, 0, 640, 480)]),
        (
            "<ref> dogs </ref><box>(0,0),(500,500)</box><box>(500,500),(1000,1000)</box> and "
            "<ref>a cat</ref><box>(250,250),(750,750)</box>",
            [
                box("dogs", 0, 0, 320, 240),
                box("dogs", 320, 240, 640, 480),
                box("a cat", 160, 120, 480, 360),
            ],
        ),
        ("<box>(500,500),(100,100)</box>", [box("", 64, 48, 320, 240)]),  # corners the wrong way
        ("<box>(0,0),(1200,999999)</box>", [box("", 0, 0, 640, 480)]),  # beyond the picture
        ("<ref>a dog</ref><box>(100,200),(500", []),  # cut off
        ("<ref>a\ndog</ref><box>(100,200),(500,1000)</box>", [box("a\ndog", 64, 96, 320, 480)]),
        ("<box>(a,b),(c,d)</box>", []),
    ],
)
def test_boxes_are_in_pixels(text, boxes):
    assert list(read_boxes(text, 640, 480, image=0)) == boxes


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("A dog.", []),
        ("[10, 20, 50, 100]", [box("", 64, 96, 320, 480)]),
        (
            "[0,0,50,50] and [ 50 , 50 , 100 , 100 ]",
            [box("", 0, 0, 320, 240), box("", 320, 240, 640, 480)],
        ),
        ("[50, 20, 50, 100]", []),  # no width
        ("[10, 20, 50, 101]", []),  # beyond the picture
        ("[10, 20, 50]", []),
        ("[1, 2, 3, 4, 5]", []),
        ("[10, 20, 50, 1", []),  # cut off
    ],
)
def test_plain_boxes_are_in_pixels(text, boxes):
    assert list(read_plain_boxes(text, 640, 480, image=0, scale=100)) == boxes
