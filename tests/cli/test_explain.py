"""`memvr explain`: a page, a picture, JSON, and what it refuses."""

import json
from pathlib import Path

import PIL.Image
import pytest

FARM = Path("examples/images/farm.png").resolve()
QUESTION = "Is there a dog in the picture?"


def test_it_answers_and_shows_where(memvr, tmp_path):
    page, png = tmp_path / "page.html", tmp_path / "map.png"
    result = memvr("explain", FARM, QUESTION, "--html", page, "--png", png, "--max-tokens", 3)
    assert result.exit_code == 0, result.output
    answer, empty, first, *_ = result.stdout.splitlines()
    assert answer
    assert empty == ""
    assert first.startswith("farm.png: ")
    assert "\x1b" not in result.stdout
    assert ">Is there a dog in the picture?</h1>" in page.read_text(encoding="utf-8")
    with PIL.Image.open(png) as saved:
        assert saved.width == 3 * 128


def test_json_is_one_object(memvr):
    result = memvr(
        "explain", FARM, QUESTION, "--json", "--no-memvr", "--no-second", "--tokens", "0",
        "--method", "route", "--max-tokens", 2,
    )  # fmt: skip
    data = json.loads(result.stdout)
    assert data["method"] == "route"
    assert data["memvr"] is None
    assert list(data["tokens"][0]["maps"]) == ["off"]
    assert data["tokens"][1]["maps"] == {}
    assert data["images"][0]["name"] == "farm.png"


def test_the_page_is_opened_where_that_is_asked(memvr, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    page = tmp_path / "page.html"
    memvr("explain", FARM, QUESTION, "--html", page, "--open", "--max-tokens", 1, "--no-second")
    assert opened == [page.as_uri()]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((FARM, QUESTION, "--open"), 2, "say where to write it with --html"),
        ((FARM, QUESTION, "--tokens", "one"), 2, "numbers with commas"),
        ((FARM, QUESTION, "--method", "guess"), 2, "guess"),
        (("nowhere.png", QUESTION), 1, "is not there"),
        ((FARM, QUESTION, "--tokens", "90", "--max-tokens", 1), 1, "token 90"),
        ((FARM, QUESTION, "--no-memvr", "--method", "retracing", "--max-tokens", 1), 1, "was off"),
    ],
)
def test_mistakes_are_one_line(memvr, arguments, code, says):
    result = memvr("explain", *arguments)
    assert result.exit_code == code
    assert says in " ".join(result.stderr.split())
