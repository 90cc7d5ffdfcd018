"""Collections as a kill would leave them, and that what is lost or twice is found."""

import shutil

import PIL.Image
import pytest
from fields import COLORS, SeeingEngine
from image_collections import Tally, held, judged, opened, work
from killing import Ended

NAMES = ["a0", "a1", "a2", "b0"]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path


class Copying(SeeingEngine):
    """Copies the collection's files in the middle of an operation: what a kill there leaves."""

    def __init__(self, place):
        super().__init__()
        self._place, self.certain, self.after, self.copies = place, {}, {}, []

    def report(self, what):
        kind, self.after = what
        if kind in ("open", "done"):
            self.certain = self.after
        self.copy()

    def copy(self):
        copy = self._place / f"copy {len(self.copies)}"
        shutil.copytree(self._place / "index", copy)
        self.copies.append((self.certain, self.after, copy))

    async def agenerate(self, requests):
        self.copy()
        return await super().agenerate(requests)


def test_what_a_kill_leaves_is_whole(place):
    engine = Copying(place)
    work(engine.report, place, 3, {}, NAMES, engine)
    assert len(engine.copies) > 30
    for certain, after, copy in engine.copies[::4]:
        assert judged(place, certain, after, copy)[1] == ""


@pytest.fixture
def made(place):
    """Two pictures in a collection."""
    for name in ("a0", "a1"):
        PIL.Image.new("RGB", (9, 7), COLORS["red"]).save(place / "photos" / f"{name}.png")
    with opened(place / "index") as index:
        index.add([place / "photos" / "a0.png", place / "photos" / "a1.png"])
    return {"a0": ("red", None), "a1": ("red", None)}


def test_what_is_lost_wrong_or_too_much_is_found(place, made):
    assert judged(place, made, made) == (made, "")
    one = {"a0": made["a0"]}
    assert judged(place, one, made) == (made, "")  # it was being added
    assert "a1 is ('red', None), not None" in judged(place, one, one)[1]
    more = made | {"b0": ("red", None)}
    assert "b0 is None, not ('red', None)" in judged(place, more, more)[1]
    other = made | {"a0": ("blue", 1999)}
    assert "a0 is ('red', None), not ('blue', 1999)" in judged(place, other, other)[1]


def test_what_search_does_not_find_or_finds_twice_is_found(place, made):
    with opened(place / "index") as index:
        assert held(index, place) == made
        index.vector_store.delete_nodes([index[place / "photos" / "a0.png"].node_id])
        with pytest.raises(ValueError, match=r"holds .'a0', 'a1'., and finds .'a1'."):
            held(index, place)


def test_a_damaged_file_is_found(place, made):
    (place / "index" / "images.sqlite").write_bytes(b"damaged" * 999)
    assert "opened again, ConfigError" in judged(place, made, made)[1]


def test_an_error_that_is_not_ours_is_a_finding():
    tally = Tally()
    tally.take("killed", "one", Ended(reported=[], killed=False, error="ConfigError: full"), "")
    assert not tally.wrong
    assert tally.counts["killed, clear errors"] == 1
    ended = Ended(reported=[], killed=False, error="KeyError: x", typed=False)
    tally.take("killed", "two", ended, "")
    assert tally.wrong == ["killed, two: KeyError: x"]
