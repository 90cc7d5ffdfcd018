"""From arrays to pixels: the range of their values, and shapes that are no picture."""

import numpy as np
import pytest
from pictures import WHITE, refused

from memvr_integrations.backend.images import load_image


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 7, 255]], np.uint8), [0, 7, 255]),
        (np.array([[[0], [7], [255]]], np.uint8), [0, 7, 255]),
        (np.array([[0, 1000, 65535]], np.uint16), [0, 4, 255]),
        (np.array([[128, 129, 65406, 65407]], np.uint16), [0, 1, 254, 255]),
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.array([[0.0, 0.25, 1.0]], np.float16), [0, 64, 255]),
        (np.array([[0.0, 0.25, 1.0]], np.longdouble), [0, 64, 255]),
        (np.ones((1, 1, 3), np.uint8), [1]),
    ],
)
def test_array_values_fill_eight_bits(array, expected):
    assert np.asarray(load_image(array))[0, :, 0].tolist() == expected


def test_array_alpha_shows_white():
    assert load_image(np.zeros((1, 1, 4), np.uint8)).getpixel((0, 0)) == WHITE
    assert load_image(np.zeros((1, 1, 4))).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((3, 8, 9), np.uint8), r"channel-first.*transpose\(1, 2, 0\)"),
        (np.zeros((1, 8, 9), np.uint8), "channel-first"),
        (np.zeros((4, 8, 9)), "channel-first"),
        (np.zeros((8, 9, 2), np.uint8), r"is not \(H, W\)"),
        (np.zeros((8, 9, 5), np.uint8), r"is not \(H, W\)"),
        (np.zeros(8, np.uint8), r"is not \(H, W\)"),
        (np.zeros((), np.uint8), r"is not \(H, W\)"),
        (np.zeros((1, 8, 9, 3), np.uint8), r"is not \(H, W\)"),
        (np.zeros((0, 9, 3), np.uint8), "no pixels: 9 x 0"),
        (np.zeros((9, 0), np.float32), "no pixels: 0 x 9"),
        (np.zeros((8, 9, 0), np.uint8), r"is not \(H, W\)"),
        (np.full((2, 2), 1.01), "from 1.01 to 1.01.*0..1"),
        (np.full((2, 2), 255.0), "0..1"),
        (np.full((2, 2), 1e300), "0..1"),
        (np.array([[0.1, -0.1]]), "from -0.1 to 0.1"),
        (np.array([[0.1, np.nan]]), "nan"),
        (np.array([[0.1, np.inf]]), "inf"),
        (np.zeros((2, 2), np.int64), "int64.*uint8"),
        (np.zeros((2, 2), np.int8), "int8"),
        (np.zeros((2, 2), np.uint32), "uint32"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.zeros((2, 2), object), "object"),
        (np.array([["a"]]), "<U1"),
        (np.zeros((2, 2), [("r", "u1")]), "dtype"),
        (np.zeros((2, 2), "M8[s]"), "datetime64"),
    ],
)
def test_arrays_that_are_refused(array, match):
    assert f"{array.dtype} array of shape {array.shape}" in refused(array, match)
