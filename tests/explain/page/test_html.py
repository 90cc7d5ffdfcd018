"""The page: everything in it, nothing from elsewhere, and nothing of a stranger's that acts."""

import base64
import dataclasses
import html
import io
import json
import re
from html.parser import HTMLParser
from typing import get_args

import numpy as np
import PIL.Image
import pytest
from explanations import explanation, hot, token

from memvr_integrations.explain.mapped import ExplainMethod

HOSTILE = "</script><script>alert(1)</script><!--&\"'<img src=x onerror=alert(2)>\u2028@@DATA@@"


class Read(HTMLParser):
    """All elements with their attributes, the texts of scripts, and all visible text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.scripts, self.text, self._in = [], [], "", None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._in = tag

    def handle_endtag(self, tag):
        self._in = None

    def handle_data(self, data):
        if self._in == "script":
            self.scripts.append(data)
        elif self._in != "style":
            self.text += data


def loads(page):
    """Addresses that a browser would fetch."""
    found = [
        value
        for _, attributes in Read(page).elements
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "poster", "srcset", "background")
    ]
    return [one for one in found if not one.startswith(("data:", "#"))] + re.findall(
        r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket|https?://", page
    )


@pytest.fixture
def made():
    return explanation(
        token("A", content=False),
        token(" dog", hot(1, 1), hot(3, 3), off=[hot(2, 2), hot(4, 4)]),
        names=("one.png", "two.png"),
    )


def test_it_loads_nothing(made):
    page = made.to_html()
    assert loads(page) == []
    assert "default-src 'none'" in page
    assert page.count("data:image/jpeg;base64,") == 2


def test_three_large_photographs_fit_into_a_megabyte():
    rng = np.random.default_rng(0)
    noise = PIL.Image.fromarray(rng.integers(0, 255, (3000, 4000, 3), dtype=np.uint8))
    maps = [rng.random((64, 64)).astype(np.float32) for _ in "123"]
    tokens = [token(f" word{number}", *maps) for number in range(16)]
    page = explanation(*tokens, pictures=[noise] * 3, names=("a", "b", "c")).to_html()
    assert len(page.encode()) < 1_000_000
    shown = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert len(shown) == 3
    for one in shown:
        with PIL.Image.open(io.BytesIO(base64.b64decode(one))) as picture:
            assert picture.size == (640, 480)


def test_a_long_answer_leaves_its_pictures_room():
    said = [token(f" word{number}", content=False) for number in range(3000)]
    noise = PIL.Image.effect_noise((600, 600), 90)
    page = explanation(*said, token(" dog", hot(1, 1)), pictures=[noise]).to_html()
    [shown] = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    with PIL.Image.open(io.BytesIO(base64.b64decode(shown))) as picture:
        assert picture.width >= 300


def test_a_pictures_size_and_mode_are_any():
    for mode, size in (("LA", (1, 1)), ("I;16", (3000, 2)), ("CMYK", (2, 3000)), ("P", (9, 7))):
        made = explanation(token("dog", hot(1, 1)), pictures=[PIL.Image.new(mode, size)])
        assert f"--w:{size[0]};--h:{size[1]}" in made.to_html()


def test_what_strangers_wrote_is_text():
    made = explanation(token(HOSTILE, hot(1, 1)), question=HOSTILE, model=HOSTILE, names=(HOSTILE,))
    page = made.to_html()
    read = Read(page)
    assert [tag for tag, _ in read.elements].count("script") == 2
    assert not any(tag == "img" and "onerror" in given for tag, given in read.elements)
    data, script = read.scripts
    assert HOSTILE in json.loads(data)["tokens"]["0"]["details"]
    assert not set("<>&\u2028") & set(data)
    assert "alert" not in script
    assert HOSTILE in read.text
    assert loads(page) == []
    frame = made._repr_html_()
    [(tag, given)] = Read(frame).elements
    assert tag == "iframe"
    assert given["srcdoc"] == page
    assert "allow-same-origin" not in given["sandbox"]
    assert html.escape(HOSTILE) not in frame  # it is escaped twice there


def test_the_maps_on_it_are_those_of_the_explanation(made):
    data = json.loads(Read(made.to_html()).scripts[0])
    for state, maps in made.tokens[1].maps.items():
        for written, values in zip(data["tokens"]["1"]["maps"][state], maps, strict=True):
            cells = np.frombuffer(base64.b64decode(written["cells"]), np.int8)
            cells = cells.reshape(-1, written["columns"]).astype(np.float32)
            np.testing.assert_allclose(cells * written["most"] / 127, values, atol=5e-3)
    assert list(data["tokens"]) == ["1"]


def test_what_is_no_number_has_no_heat():
    broken = np.full((8, 8), np.nan, np.float32)
    said = explanation(token("dog", broken), token(" cow", hot(1, 1))).to_html()
    data = json.loads(Read(said).scripts[0], parse_constant=pytest.fail)
    assert "no numbers" in data["tokens"]["0"]["says"]["on"][0]
    assert data["tokens"]["0"]["maps"]["on"][0]["most"] == 0


def test_a_scale_says_how_far_a_map_is_a_place():
    def says(*tokens, **fields):
        data = json.loads(Read(explanation(*tokens, **fields).to_html()).scripts[0])
        return data["whole"]["says"]

    even = np.ones((8, 8), np.float32)
    assert says(token("dog", even))["on"] == ["Nothing stands out here: don't read it as a place."]
    assert "agrees: 0.90" in says(token("dog", hot(1, 1)))["on"][0]
    assert "agrees in part: 0.70" in says(token("dog", hot(1, 1), agreement=0.7))["on"][0]
    assert "does not agree: 0.50" in says(token("dog", hot(1, 1), agreement=0.5))["on"][0]
    assert "hardly anything" in says(token("dog", hot(1, 1)))["difference"][0]
    two = says(token("dog", hot(1, 1), hot(3, 3, heat=0.001)), names=("a", "b"))["on"]
    assert two[0].startswith("88% of the heat is in this picture.")
    two = says(token("dog", hot(1, 1), 1e-4 * hot(3, 3)), names=("a", "b"))["on"]
    assert "Next to nothing came from this picture" in two[1]


def test_elements_close_and_controls_have_names(made):
    page = made.to_html()
    void, open_elements, ids = {"meta", "img", "input"}, [], []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag, attributes):
            ids.extend(value for name, value in attributes if name == "id")
            if tag not in void:
                open_elements.append(tag)

        def handle_endtag(self, tag):
            assert open_elements.pop() == tag

    Balanced().feed(page)
    assert open_elements == []
    assert len(ids) == len(set(ids))
    inputs = [given for tag, given in Read(page).elements if tag == "input"]
    assert len(inputs) == len(re.findall(r"<label>[^<]*<input", page)) > 3


def test_keyboards_and_screen_readers_find_the_words(made):
    elements = Read(made.to_html()).elements
    words = [given for tag, given in elements if tag == "button"]
    assert [given["data-token"] for given in words] == ["1"]
    assert words[0]["aria-pressed"] == "false"
    assert "unsureness 0.25" in words[0]["aria-label"]
    assert "retraced after layer 2" in words[0]["aria-label"]
    assert any(given.get("aria-live") == "polite" for _, given in elements)
    assert all(given["alt"] or given["class"] == "heat" for tag, given in elements if tag == "img")
    assert any(given.get("title") == "not explained" for _, given in elements)


def test_without_memvr_there_is_nothing_to_switch(made):
    plain = explanation(token("dog", hot(1, 1)), ratio=None, threshold=None, window=None)
    assert "what it changed" in made.to_html()
    assert "what it changed" not in plain.to_html()


def test_every_method_says_what_it_is_not(made):
    notes = set()
    for method in get_args(ExplainMethod):
        page = dataclasses.replace(made, method=method).to_html()
        [note] = re.findall(r'<p class="note">(Made by [^<]+ The map [^<]+)</p>', page)
        notes.add(note)
    assert len(notes) == len(get_args(ExplainMethod))
