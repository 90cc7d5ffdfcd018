"""Every hostile address, and that a fault in how it is refused is found."""

import os
import socket
import time
from dataclasses import replace

import addresses
import pytest
from address_cases import HOST, OPEN, Case, cases
from addresses import tried
from pictures import PNG
from web import reply

from memvr_integrations.backend.images import fetch
from memvr_integrations.errors import ImageError


def test_every_hostile_address_is_refused_in_time(tmp_path):
    every = list(cases(tmp_path))
    assert len(every) > 120
    assert len({(case.kind, case.name) for case in every}) == len(every)
    found = {f"{case.kind}, {case.name}": tried(case) for case in every}
    assert {name: why for name, why in found.items() if why} == {}


SERVED = Case(kind="", name="", source=f"{HOST}/a.png", says="never", servers=[reply(PNG)])


def _raising(error):
    def load(source, policy):
        raise error

    return load


def _late(source, policy):
    time.sleep(0.02)
    raise ImageError("never")


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (None, r"a picture of \(17, 13\) came of it"),
        (_raising(ImageError("other words")), "it says 'other words'"),
        (_raising(ImageError("x" * 2000)), "an error of 2000 characters"),
        (_raising(ImageError("secret, never")), "an error of 13 characters"),
        (_raising(OSError("x")), "OSError instead of an ImageError"),
        (_late, "it took "),
    ],
)
def test_every_fault_is_found(monkeypatch, load, why):
    if load is not None:
        monkeypatch.setattr(addresses, "load_image", load)
    if load is _late:
        monkeypatch.setattr(addresses, "_GRACE", -addresses.TIMEOUT + 0.01)
    assert tried(SERVED).startswith(why.replace("\\", ""))


def test_an_address_inside_and_a_connection_left_open_are_found(monkeypatch):
    monkeypatch.setattr(fetch, "is_public", lambda address: True)
    inside = replace(SERVED, source="http://127.0.0.1/", policy=OPEN)
    assert tried(inside) == "127.0.0.1 was dialled"
    monkeypatch.undo()
    monkeypatch.setattr(fetch, "closing", lambda stream: _Open(stream))
    assert tried(SERVED) == "a connection was left open"


class _Open:
    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._kept = socket.socket(fileno=os.dup(stream.fileno()))

    def __enter__(self) -> socket.socket:
        return self._stream

    def __exit__(self, *error: object) -> None:
        self._kept.close()
