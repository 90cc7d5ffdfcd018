"""One deadline for a download, wherever the time goes."""

import socket
import threading
import time
from types import SimpleNamespace

import pytest
from web import HOSTS, PUBLIC, Web, redirect, reply

from memvr_integrations.backend.images import fetch
from memvr_integrations.errors import ImageError
from memvr_integrations.types.image_policy import ImagePolicy

HURRY = ImagePolicy(allowed_hosts=("img.example.org",), timeout=0.3)


def test_a_dead_address_leaves_time_for_the_next(monkeypatch):
    monkeypatch.setattr(fetch, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    shares: list[float] = []

    def dial(address: str, port: int, *, server_name: str | None, timeout: float):
        shares.append(timeout)
        raise TimeoutError

    web = Web(names={"img.example.org": ["8.8.8.8", PUBLIC]})
    web.dial = dial
    web.refuses("https://img.example.org/", "timeout=5 s", HOSTS)
    assert shares == [2.5, 5.0]


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        reply(b"", "200 OK", "Content-Length: 900"),
        reply(b"", "200 OK", "Transfer-Encoding: chunked"),
    ],
    ids=["status", "header", "body", "chunk size"],
)
def test_a_dripping_server_gets_one_deadline(start):
    def drip(stream: socket.socket) -> None:
        stream.sendall(start)
        while True:  # until the other side hangs up
            stream.sendall(b"1")
            time.sleep(0.05)

    Web(drip).refuses("https://img.example.org/", r"timeout=0\.3 s", HURRY)


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints"])
@pytest.mark.parametrize("pause", [0, 0.02])
def test_endless_hints_get_one_deadline(status, pause):
    def hint(stream: socket.socket) -> None:
        while True:  # until the other side hangs up
            stream.sendall(reply(b"", status, "Link: </x.css>"))
            time.sleep(pause)

    Web(hint).refuses("https://img.example.org/", r"timeout=0\.3 s", HURRY)


def test_redirects_share_the_deadline():
    def slow(stream: socket.socket) -> None:
        time.sleep(0.2)
        stream.sendall(redirect("/again"))

    Web(*[slow] * 4).refuses("https://img.example.org/", r"timeout=0\.3 s", HURRY)


def test_a_silent_name_server_gets_the_deadline(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [release.wait(60)][1:])
    with pytest.raises(ImageError, match=r"timeout=0\.3 s"):
        fetch.download("https://img.example.org/", HURRY)
    release.set()
