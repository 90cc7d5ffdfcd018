"""What a server may answer: redirects, bodies up to their limit, nonsense."""

import socket
import threading

import pytest
from web import PUBLIC, Web, redirect, reply

from memvr_integrations.types.image_policy import ImagePolicy


def test_chunked_and_unannounced_bodies_are_read():
    chunked = reply(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "200 OK", "Transfer-Encoding: chunked")
    assert Web(chunked).get("https://img.example.org/") == b"abcde"
    assert Web(reply(b"abc", "200 OK", "X: y")).get("https://img.example.org/") == b"abc"


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints", "199 X"])
@pytest.mark.parametrize("times", [1, 3])
def test_what_comes_before_the_answer_is_passed_over(status, times):
    before = reply(b"", status, "Link: </x.css>; rel=preload") * times
    assert Web(before + reply(b"abc")).get("https://img.example.org/") == b"abc"
    chunked = reply(b"3\r\nabc\r\n0\r\n\r\n", "200 OK", "Transfer-Encoding: chunked")
    assert Web(before + chunked).get("https://img.example.org/") == b"abc"
    Web(before + reply(b"", "404 Not Found")).refuses("https://img.example.org/", "404")
    Web(before).refuses("https://img.example.org/", "could not be downloaded")


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
def test_redirects_are_followed(status):
    web = Web(redirect("/b.png", status), reply(b"abc"))
    assert web.get("https://img.example.org/a.png") == b"abc"
    assert web.requests[1].startswith("GET /b.png ")


def test_a_log_says_where_a_download_went_without_what_may_be_secret(caplog):
    web = Web(redirect("/b.png?key=secret"), reply(b"abc"))
    with caplog.at_level("DEBUG", logger="memvr_integrations"):
        web.get("https://img.example.org/a.png?key=secret")
    assert caplog.messages == [
        "downloading 'https://img.example.org/a.png'",
        "'https://img.example.org/a.png' redirects to 'https://img.example.org/b.png'",
        "downloading 'https://img.example.org/b.png'",
        "'https://img.example.org/b.png' holds 3 bytes",
    ]


@pytest.mark.parametrize(
    ("location", "match"),
    [
        ("https://127.0.0.1/", "allowed_hosts"),
        ("https://169.254.169.254/latest/meta-data/", "allowed_hosts"),
        ("//169.254.169.254/", "allowed_hosts"),
        ("https://[::1]/", "allowed_hosts"),
        ("http://img.example.org/", "plain http"),
        ("https://img.example.org:22/", "allowed_hosts"),
        ("https://a:b@img.example.org/", "user name"),
        ("file:///etc/passwd", "plain URL|scheme"),
        ("ftp://img.example.org/x", "scheme"),
        ("https://[::1", "could not be downloaded|not a URL"),
        ("https://inner.example.net/", "not a public address"),
    ],
)
def test_a_redirect_starts_the_checks_again(location, match):
    names = {"img.example.org": [PUBLIC], "inner.example.net": ["10.0.0.7"]}
    web = Web(redirect(location), names=names)
    web.refuses("https://img.example.org/", match)
    assert len(web.dialled) == 1


def test_redirects_are_counted():
    web = Web(*[redirect("/again")] * 9)
    web.refuses("https://img.example.org/", "max_redirects=3")
    assert len(web.dialled) == 4
    web = Web(redirect("/again"))
    policy = ImagePolicy(allowed_hosts=("img.example.org",), max_redirects=0)
    web.refuses("https://img.example.org/", "max_redirects=0", policy)


SMALL = ImagePolicy(allowed_hosts=("img.example.org",), max_bytes=1000)


def test_an_announced_size_is_refused_before_the_body():
    body_wanted = threading.Event()

    def announce(stream: socket.socket) -> None:
        stream.sendall(reply(b"", "200 OK", "Content-Length: 1001"))
        if stream.recv(1):
            body_wanted.set()

    Web(announce).refuses("https://img.example.org/", "1001 bytes or more.*max_bytes=1000", SMALL)
    assert not body_wanted.is_set()


@pytest.mark.parametrize("headers", [("X: y",), ("Transfer-Encoding: chunked",)])
def test_endless_bodies_are_cut_at_the_limit(headers):
    sent = []

    def flood(stream: socket.socket) -> None:
        stream.sendall(reply(b"", "200 OK", *headers))
        while len(sent) < 10_000:
            stream.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            sent.append(1)

    Web(flood).refuses("https://img.example.org/", "above max_bytes=1000", SMALL)
    assert len(sent) < 1000


def test_a_body_of_exactly_the_limit_is_taken():
    assert len(Web(reply(bytes(1000))).get("https://img.example.org/", SMALL)) == 1000


def test_a_lying_content_length():
    shorter = reply(b"abcdef", "200 OK", "Content-Length: 3")
    assert Web(shorter).get("https://img.example.org/") == b"abc"
    longer = reply(b"abc", "200 OK", "Content-Length: 900")
    Web(longer).refuses("https://img.example.org/", "897 of 900 bytes are missing")
    negative = reply(bytes(2000), "200 OK", "Content-Length: -1")
    Web(negative).refuses("https://img.example.org/", "max_bytes", SMALL)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (reply(b"", "404 Not Found"), "404"),
        (reply(b"", "500 Oh"), "500"),
        (reply(b"", "206 Partial Content"), "206"),
        (reply(b"", "302 Found"), "302"),
        (reply(b"x", "200 OK", "Content-Encoding: gzip"), "gzip"),
        (b"", "could not be downloaded"),
        (b"\x16\x03\x01 not http\r\n\r\n", "could not be downloaded"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000, "could not be downloaded"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, "could not be downloaded"),
        (reply(b"zz\r\nabc", "200 OK", "Transfer-Encoding: chunked"), "could not be downloaded"),
        (reply(b"9\r\nabc", "200 OK", "Transfer-Encoding: chunked"), "could not be downloaded"),
        (ConnectionRefusedError("refused"), "could not be downloaded.*refused"),
    ],
)
def test_broken_answers_are_image_errors_that_name_the_url(answer, match):
    message = Web(answer).refuses("https://img.example.org/cat.png", match)
    assert "https://img.example.org/cat.png" in message
