"""An explanation as a picture, as plain values, and in a terminal."""

import json
import re
import unicodedata

import numpy as np
import PIL.Image
import pytest
from explanations import explanation, hot, token


def test_the_picture_is_changed_where_it_is_hot(tmp_path):
    made = explanation(token("dog", hot(2, 4)), size=(160, 80))
    made.save_png(tmp_path / "map.png")
    with PIL.Image.open(tmp_path / "map.png") as saved:
        pixels = np.asarray(saved.convert("RGB")).astype(int)
    assert pixels.shape == (3 * 80 + 20, 3 * 160, 3)
    changed = np.abs(pixels[:240] - np.array((90, 120, 60))).sum(-1)
    assert changed[84, 285] > 3 * changed[180, 60]
    top = made.box()[1]
    assert pixels[round(3 * top), 300].tolist() == [255, 255, 255]
    made.save_png(str(tmp_path / "off.png"), tokens=[0], state="off")


def test_plain_values_are_json():
    made = explanation(token("A", content=False), token(" dog", hot(2, 4)))
    data = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert data["images"][0]["box"] is not None
    assert np.allclose(data["images"][0]["map"], made.map(), atol=1e-3)
    assert data["tokens"][1]["entropies"] == {"2": 0.8}
    assert data["memvr"] == {
        "retracing_ratio": 0.12,
        "entropy_threshold": 0.75,
        "layers": [2, 5],
    }


def test_in_a_terminal_it_is_as_wide_as_asked_and_obeys_nobody():
    made = explanation(token(" dog\x1b[2J", hot(2, 4)), names=("fa\nrm\x1b]0;x.png",))
    plain = made.to_terminal(width=30, colour=False)
    assert "\x1b" not in plain
    rows = [line for line in plain.splitlines() if set(line) <= set(" .:-=+*#%@") and line]
    assert {len(line) for line in rows} == {30}
    assert len(rows) == 8  # cold rows too: the picture is twice as wide as high
    assert "@" in "".join(rows)
    assert plain.splitlines()[0].startswith("fa?rm?]0;x.png: points at (")
    coloured = made.to_terminal(width=30)
    assert set(re.findall(r"\x1b\[[^m]*m", coloured)) > {"\x1b[0m"}
    assert "\x1b[2J" not in coloured


@pytest.mark.parametrize("width", [3, 16, 33, 60, 200])
def test_no_line_in_a_terminal_is_too_wide(width):
    words = [token("\u72d7" * 30, hot(2, 4)), token(" incomprehensibilities" * 3, content=False)]
    made = explanation(*words, names=("a very long name of a picture " * 4 + "x" * 80,))
    lines = made.to_terminal(width=width, colour=False).splitlines()
    places = [sum(1 + (unicodedata.east_asian_width(one) == "W") for one in line) for line in lines]
    assert max(places) <= max(width, 16)
    blocks = re.sub(r"\x1b\[[^m]*m", "", made.to_terminal(width=width))
    assert max(map(len, blocks.splitlines())) <= max(width, 16)


def test_colours_in_a_terminal_are_those_of_the_map():
    made = explanation(token("dog", hot(2, 4)), size=(80, 80))
    [first, *_] = [line for line in made.to_terminal(width=16).splitlines() if "\u2580" in line]
    assert first.count("\u2580") == 16
    cold = tuple(map(int, re.findall(r"38;2;(\d+);(\d+);(\d+)", first)[0]))
    rows = made.to_terminal(width=16).split("\x1b[0m\n")
    hottest = tuple(map(int, re.findall(r"38;2;(\d+);(\d+);(\d+)", rows[2])[9]))
    assert hottest[0] > cold[0] + 60  # yellow over the picture's green


def test_a_flat_map_says_so():
    made = explanation(token("dog", np.ones((8, 8), np.float32)))
    assert "nothing stands out" in made.to_terminal(colour=False)


def test_a_terminal_says_where_next_to_nothing_came_from():
    made = explanation(token("dog", hot(1, 1), 0.01 * hot(5, 5)), names=("one", "two"))
    plain = made.to_terminal(width=40, colour=False)
    assert "one: points at (" in plain
    assert "99% of the heat" in plain.replace("\n", " ")
    assert "two: next to nothing came from it\n\nword" in plain  # no empty map
    assert "\u2580" in made.to_terminal(width=40).split("two: ")[1]  # colours show the picture
    assert plain.splitlines()[-1].endswith(" layer 2")


def test_a_picture_of_nothing_stays_cold(tmp_path):
    made = explanation(token("dog", hot(1, 1), 0.01 * hot(5, 5)), names=("a", "b"), size=(480, 480))
    for image in (0, 1):
        made.save_png(tmp_path / f"{image}.png", image=image)
    spots = []
    for image, at in ((0, (120, 120)), (1, (360, 360))):
        with PIL.Image.open(tmp_path / f"{image}.png") as saved:
            spots.append(np.abs(np.subtract(saved.getpixel(at), (90, 120, 60))).sum())
    assert spots[0] > 4 * spots[1]


def test_names_that_are_no_text_are_still_json():
    made = explanation(token("dog\udcff", hot(1, 1)), names=("a\udcff",), question="\udcff?")
    json.dumps(made.to_dict(), ensure_ascii=False).encode()
    assert made.to_html().encode()
