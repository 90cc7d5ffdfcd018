"""A small run of the fuzzer, and that it finds what it is there to find."""

import os
import signal
import warnings

import picture_child
import pytest
from hostile_pictures import Decoder, Tally, soak
from picture_bombs import BOMBS
from picture_cases import Case
from picture_child import CASES, Verdict, verdict
from pictures import PICTURE, PNG

from memvr_integrations.errors import ImageError

BYTES = Case(about="PNG as bytes", source=PNG)


def test_changed_pictures_are_shown_or_refused():
    found = soak(count=200, mib=0)
    assert not found.wrong
    assert found.figures["changed pictures"] == 200
    assert found.figures["of them shown"] > 50
    assert found.figures["of them refused by an ImageError"] > 50


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("name", sorted(set(BOMBS["huge"]) - {"PNG whole"}))
def test_what_says_it_is_too_large_is_refused_for_that(name):
    one = verdict(Case(about=name, source=BOMBS["huge"][name](0)), CASES)
    assert one.outcome == "refused"
    assert "max_pixels" in one.why or name == "WEBP"


def _raising(error):
    def load(source, policy):
        raise error

    return load


def _memory_error(source, policy):
    try:
        raise MemoryError
    except MemoryError as problem:
        raise ImageError("no room") from problem


def _warning(source, policy):
    warnings.warn("stray", UserWarning, stacklevel=1)
    return PICTURE


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize(
    ("load", "why"),
    [
        (_raising(KeyError("x")), "KeyError instead of an ImageError"),
        (_raising(ImageError("x" * 2000)), "2000 characters"),
        (_memory_error, "more memory than there is"),
        (_warning, "1 warnings that are not ours, the first: stray"),
        (lambda source, policy: PICTURE.convert("L"), "mode L"),
        (lambda source, policy: PICTURE.resize((2001, 2000)), "size .2001, 2000"),
        (lambda source, policy: (os.open("/dev/null", os.O_RDONLY), PICTURE)[1], "a file open"),
    ],
)
def test_every_fault_is_found(monkeypatch, load, why):
    monkeypatch.setattr(picture_child, "load_image", load)
    found = verdict(BYTES, CASES)
    assert found.outcome == "wrong"
    assert why.replace(".", "(") in found.why


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("case/1", {"seconds": 11.0}),
        ("case/1", {"peak": 2**30}),
        ("huge/PNG", {"outcome": "picture"}),
        ("stalling/PNG", {"outcome": "wrong", "why": "it crashed"}),
    ],
)
def test_every_limit_counts(name, change):
    tally = Tally()
    usual = {"about": "", "outcome": "refused", "why": "", "seconds": 0.1, "peak": 1, "resident": 1}
    tally.take(name, Verdict(**usual))
    assert not tally.wrong
    tally.take(name, Verdict(**usual | change))
    [sentence] = tally.wrong
    assert sentence.startswith(name)


def test_a_decoder_that_dies_or_hangs_is_a_finding_and_another_takes_its_place():
    decoder = Decoder(0, 0, patience=0.0)
    try:
        assert decoder.load("case/0").why == "it never ended"
        decoder._patience = 60
        os.kill(decoder._child.pid, signal.SIGSEGV)
        assert decoder.load("case/0").why == "the decoder died of SIGSEGV"
        assert decoder.load("case/0").outcome in ("picture", "refused")
    finally:
        decoder.close()
