import math
import threading

import PIL.Image
import pytest
from fields import COLORS, SeeingEngine
from scripted_engine import text_of

from memvr_integrations.backend.images import opened, read_image
from memvr_integrations.errors import RequestError
from memvr_integrations.grounding import (
    RIGHT_PROMPT,
    ashows_all,
    ayes_by_image,
    rightness,
    shows_all,
    yes_by_image,
)
from memvr_integrations.grounding.asking_back import relevance, visible_things
from memvr_integrations.types import ReadImage, Request

YES = 1 / (1 + math.exp(0.1 - 3.0))  # of the seeing engine, where it sees the colour


def pictures(*colors, **settings):
    shown = [PIL.Image.new("RGB", (9, 7), COLORS[color]) for color in colors]
    return Request.ask("What was asked before?", *shown, **settings)


def test_what_no_picture_shows_is_left_out():
    words = ["picture", "many", "cats", "boxes", "2", "two", "cat"]
    assert visible_things(words) == ["box", "cat"]
    assert visible_things([]) == []


def test_a_picture_is_relevant_when_it_shows_everything():
    assert relevance([0.9, 0.4]) == pytest.approx(0.6)
    assert relevance([0.25]) == pytest.approx(0.25)
    assert relevance([1.0, 0.0]) == pytest.approx(math.sqrt(1e-9))  # rare, but no end of all order


async def test_all_things_are_asked_about():
    engine, request = SeeingEngine(), pictures("red", memvr=None)
    for found in (
        shows_all(engine, request, ["red", "blue"]),
        await ashows_all(engine, request, ["red", "blue"]),
    ):
        assert found == pytest.approx(math.sqrt(YES * (1 - YES)))
    asked = sorted(text_of(one.messages[-1]) for one in engine.requests)
    assert asked == [f"Is there a {one} in the picture?" for one in ("blue", "blue", "red", "red")]
    assert [one.memvr for one in engine.requests] == [None] * 4  # its settings, not its question
    assert shows_all(engine, request, ["blue"], prompt="No {thing}, but red?") == pytest.approx(YES)


class Waiting(SeeingEngine):
    """Answers when so many questions wait, and not before."""

    def __init__(self, questions):
        super().__init__()
        self._all_here = threading.Barrier(questions, timeout=60)

    def score(self, request, answers, *, exclusive=True):
        self._all_here.wait()
        return super().score(request, answers, exclusive=exclusive)


def test_all_that_is_asked_comes_at_once():
    assert shows_all(Waiting(2), pictures("red"), ["red", "reddest"]) == pytest.approx(YES)
    prompt = RIGHT_PROMPT.format(query_str="Which?", response_str="It is blue.")
    assert len(yes_by_image(Waiting(3), pictures("red", "blue", "green"), prompt)) == 3


async def test_a_picture_is_read_once_for_all_things(tmp_path, monkeypatch):
    file, read = tmp_path / "a.png", []
    PIL.Image.new("RGB", (9, 7), COLORS["red"]).save(file)
    monkeypatch.setattr(
        opened, "read_image", lambda source, policy: read.append(source) or read_image(source)
    )
    request, engine = Request.ask("What?", file), SeeingEngine()
    for found in (
        shows_all(engine, request, ["red", "blue", "cow"]),
        await ashows_all(engine, request, ["red", "blue", "cow"]),
    ):
        assert found == pytest.approx((YES * (1 - YES) ** 2) ** (1 / 3))
    assert read == [file, file]
    assert all(isinstance(one.images[0].source, ReadImage) for one in engine.requests)


def test_a_backend_reads_their_common_beginning_once(make_backend, ask):
    backend = make_backend(prefix_bytes=2**28)
    shows_all(backend, ask("Which?", 0, memvr=None), ["dog", "cow", "cat", "red ball"])
    assert backend.images_encoded == 1
    report = backend.report()
    assert report.prefix_hits == 3
    assert report.prefix_tokens > 3 * 64


async def test_each_picture_is_asked_alone():
    engine, request = SeeingEngine(), pictures("red", "blue")
    prompt = RIGHT_PROMPT.format(query_str="Which?", response_str="It is blue.")
    expected = pytest.approx([1 - YES, YES])
    assert yes_by_image(engine, request, prompt) == expected
    assert await ayes_by_image(engine, request, prompt) == expected
    assert [len(one.images) for one in engine.requests] == [1] * 4
    assert rightness([0.1, 0.9]) == 0.9  # one picture is enough


async def test_there_must_be_a_thing_and_a_picture():
    engine = SeeingEngine()
    for things in ([], "cow"):
        with pytest.raises(RequestError, match="must be one or more words"):
            shows_all(engine, pictures("red"), things)
    with pytest.raises(RequestError, match="holds no picture"):
        await ashows_all(engine, pictures(), ["cow"])
    with pytest.raises(RequestError, match="holds no picture"):
        yes_by_image(engine, pictures(), "Is it?")
    assert not engine.requests
