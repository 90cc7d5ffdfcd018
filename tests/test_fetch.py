"""Downloads, against servers at the other end of a socket pair: nothing leaves the process."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from memvr_integrations.backend import fetch
from memvr_integrations.backend.fetch import download, is_public, shown_url
from memvr_integrations.errors import ConfigError, ImageError
from memvr_integrations.policy import ImagePolicy

PUBLIC = "93.184.216.34"
HOSTS = ImagePolicy(allowed_hosts=("img.example.org", ".example.net"), timeout=5)


def reply(body: bytes = b"picture", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(headers or (f"Content-Length: {len(body)}",)), "", ""]
    return "\r\n".join(lines).encode() + body


class Web:
    """Name server and web servers in one: `names` to addresses, `replies` in order."""

    def __init__(
        self, *replies: bytes | Callable[[socket.socket], None], names: object = None
    ) -> None:
        self.replies = list(replies)
        self.names = names or {"img.example.org": [PUBLIC]}
        self.dialled: list[tuple[str, int, str | None]] = []
        self.requests: list[str] = []
        self.resolved: list[str] = []

    def resolve(self, host: str, port: int, *, timeout: float) -> Sequence[str]:
        self.resolved.append(host)
        answer = self.names[host]
        return answer.pop(0) if answer and isinstance(answer[0], list) else answer

    def dial(self, address: str, port: int, *, server_name: str | None, timeout: float):
        self.dialled.append((address, port, server_name))
        script = self.replies.pop(0)
        if isinstance(script, OSError):
            raise script
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._serve, args=(theirs, script), daemon=True).start()
        return ours

    def _serve(self, stream: socket.socket, script) -> None:
        with stream:
            self.requests.append(stream.recv(2**16).decode())
            # The client hangs up: that is what many of the tests are about.
            with contextlib.suppress(OSError):
                script(stream) if callable(script) else stream.sendall(script)

    def get(self, url: str, policy: ImagePolicy = HOSTS) -> bytes:
        return download(url, policy, resolve=self.resolve, dial=self.dial)

    def refuses(self, url: str, match: str, policy: ImagePolicy = HOSTS) -> str:
        with pytest.raises(ImageError, match=match) as caught:
            self.get(url, policy)
        return str(caught.value)


def redirect(location: str, status: str = "302 Found") -> bytes:
    return reply(b"", status, f"Location: {location}", "Content-Length: 0")


def test_download_pins_the_checked_address_and_sends_a_plain_request():
    web = Web(reply(b"abc"))
    assert (
        web.get("https://IMG.example.org./a b.png".replace(" ", "%20") + "?x=1&y=é#top") == b"abc"
    )
    assert web.dialled == [(PUBLIC, 443, "img.example.org")]
    request = web.requests[0].split("\r\n")
    assert request[0] == "GET /a%20b.png?x=1&y=%C3%A9 HTTP/1.1"
    assert "Host: img.example.org" in request
    assert "Accept-Encoding: identity" in request
    assert not [line for line in request if line.startswith(("Cookie", "Authorization"))]


def test_chunked_and_unannounced_bodies_are_read():
    chunked = reply(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "200 OK", "Transfer-Encoding: chunked")
    assert Web(chunked).get("https://img.example.org/") == b"abcde"
    assert Web(reply(b"abc", "200 OK", "X: y")).get("https://img.example.org/") == b"abc"


def test_environment_proxies_are_not_used(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")
    web = Web(reply())
    web.get("https://img.example.org/")
    assert web.dialled == [(PUBLIC, 443, "img.example.org")]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/",
        "https://evil-img.example.org/",
        "https://img.example.org.evil.com/",
        "https://example.net/",
        "https://notexample.net/",
        "https://93.184.216.34/",
        "https://[::1]/",
        "https://2130706433/",
        "https://img.example.org:8443/",
        "https://img.example.org:22/",
        "https://img.example.org:80443/",
        "https://img.example.org:x/",
        "https://user@img.example.org/",
        "https://user:secret@img.example.org/",
        "https://evil.com\\@img.example.org/",
        "https://img.example.org\t/",
        "https://img.example.org/a b",
        "https://img.example.org/\r\nX: y",
        "https://exämple.net/",
        "https://ä.example.net/",
        "https://img.example.org\uff0f@evil.com/",
        "https://img.example.org/\udc80",
        "https:///a.png",
        "https:a.png",
        "https://[::1",
        "https://" + "a" * 70 + ".example.org/",
        "http://img.example.org/",
        "ftp://img.example.org/",
        "file:///etc/passwd",
        "gopher://img.example.org/",
        "",
    ],
)
def test_refused_urls_are_neither_resolved_nor_dialled(url):
    web = Web()
    message = web.refuses(url, "URL|http|scheme|user name|allowed_hosts")
    assert not web.resolved
    assert not web.dialled
    assert "secret" not in message
    assert "could not be downloaded" not in message


def test_refusals_say_how_to_allow():
    off = Web().refuses("https://img.example.org/a.png", "allowed_hosts", ImagePolicy())
    assert "ImagePolicy(allowed_hosts=('img.example.org',))" in off
    port = Web().refuses("https://img.example.org:8443/a.png", "allowed_hosts")
    assert "'img.example.org:8443'" in port
    assert "allow_http=True" in Web().refuses("http://img.example.org/", "plain http")


def test_messages_hide_query_and_password():
    assert shown_url("https://me:pw?x@h.org/a.png?token=1#f") == "'https://h.org/a.png'"
    assert shown_url("https://h.org/a@b") == "'https://h.org/a@b'"
    assert len(shown_url("https://h.org/" + "a" * 10_000)) < 130


@pytest.mark.parametrize(
    ("entry", "url", "dialled"),
    [
        (".example.net", "https://a.b.example.net/", ("a.b.example.net", 443)),
        ("img.example.org:8443", "https://img.example.org:8443/", ("img.example.org", 8443)),
        ("IMG.example.org", "https://img.example.org/", ("img.example.org", 443)),
        (".example.net:8443", "https://a.example.net:8443/", ("a.example.net", 8443)),
        ("[2606:4700::1]", "https://[2606:4700::1]/", ("2606:4700::1", 443)),
        ("img.example.org", "https://img.example.org:80/", ("img.example.org", 80)),
    ],
)
def test_allowed_entries(entry, url, dialled):
    web = Web(reply(), names={dialled[0]: [PUBLIC]})
    web.get(url, ImagePolicy(allowed_hosts=(entry,)))
    assert web.dialled == [(PUBLIC, dialled[1], dialled[0])]


def test_a_star_allows_every_public_host_and_no_other():
    policy = ImagePolicy(allowed_hosts=("*",))
    web = Web(reply(b"abc"), names={"anything.example": [PUBLIC]})
    assert web.get("https://anything.example/a.png", policy) == b"abc"
    inside = Web(names={"inside.example": ["10.0.0.1"]})
    inside.refuses("https://inside.example/a.png", "10.0.0.1|public|private", policy)
    Web().refuses("https://anything.example:8443/", "allowed_hosts", policy)


def test_an_entry_with_a_port_allows_that_port_alone():
    policy = ImagePolicy(allowed_hosts=("img.example.org:8443",))
    Web().refuses("https://img.example.org/", "allowed_hosts", policy)


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_hosts": "img.example.org"},
        {"allowed_hosts": "localhost"},
        {"allowed_hosts": ("",)},
        {"allowed_hosts": (".",)},
        {"allowed_hosts": ("*.example.org",)},
        {"allowed_hosts": ("https://example.org",)},
        {"allowed_hosts": ("example.org/path",)},
        {"allowed_hosts": ("user@example.org",)},
        {"allowed_hosts": ("example.org:port",)},
        {"allowed_hosts": ("exa mple.org",)},
        {"max_bytes": 0},
        {"max_pixels": -1},
        {"max_aspect": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"max_redirects": -1},
    ],
)
def test_policies_that_can_only_surprise_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        ImagePolicy(**settings)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254"),
        *("ff02::1", "ff0e::1", "fec0::1", "2001:db8::1", "::127.0.0.1", "100::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe"),
        *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::"),
        *("2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    ],
)
def test_addresses_that_are_not_public_are_never_dialled(address):
    assert not is_public(address)
    for addresses in ([address], [PUBLIC, address], [address, PUBLIC]):
        web = Web(names={"img.example.org": addresses})
        message = web.refuses("https://img.example.org/", "not a public address")
        assert address in message
        assert not web.dialled


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_dialled(address):
    assert Web(reply(), names={"img.example.org": [address]}).get("https://img.example.org/")


def test_dns_rebinding_cannot_move_the_connection():
    web = Web(reply(), names={"img.example.org": [[PUBLIC], ["127.0.0.1"]]})
    web.get("https://img.example.org/")
    assert web.resolved == ["img.example.org"]
    assert web.dialled[0][0] == PUBLIC


def test_dns_rebinding_between_redirects_is_caught():
    web = Web(
        redirect("https://img.example.org/b"), names={"img.example.org": [[PUBLIC], ["127.0.0.1"]]}
    )
    web.refuses("https://img.example.org/a", "not a public address")
    assert len(web.dialled) == 1


def test_the_second_address_is_tried_when_the_first_is_dead():
    web = Web(
        ConnectionRefusedError(), reply(b"abc"), names={"img.example.org": ["8.8.8.8", PUBLIC]}
    )
    assert web.get("https://img.example.org/") == b"abc"
    assert [address for address, _, _ in web.dialled] == ["8.8.8.8", PUBLIC]


def test_a_dead_address_leaves_time_for_the_next():
    shares: list[float] = []

    def dial(address: str, port: int, *, server_name: str | None, timeout: float):
        shares.append(timeout)
        raise TimeoutError

    web = Web(names={"img.example.org": ["8.8.8.8", PUBLIC]})
    with pytest.raises(ImageError, match="timeout=5 s"):
        download("https://img.example.org/", HOSTS, resolve=web.resolve, dial=dial)
    assert 2 < shares[0] <= 2.5 < shares[1] <= 5


def test_a_url_without_a_host_is_told_so():
    Web().refuses("https:///a.png", "not a plain URL")


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
def test_redirects_are_followed(status):
    web = Web(redirect("/b.png", status), reply(b"abc"))
    assert web.get("https://img.example.org/a.png") == b"abc"
    assert web.requests[1].startswith("GET /b.png ")


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


HURRY = ImagePolicy(allowed_hosts=("img.example.org",), timeout=0.3)


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
        for _ in range(100):
            stream.sendall(b"1")
            time.sleep(0.05)

    begin = time.monotonic()
    Web(drip).refuses("https://img.example.org/", r"timeout=0\.3 s", HURRY)
    assert time.monotonic() - begin < 2


def test_redirects_share_the_deadline():
    def slow(stream: socket.socket) -> None:
        time.sleep(0.2)
        stream.sendall(redirect("/again"))

    Web(*[slow] * 4).refuses("https://img.example.org/", r"timeout=0\.3 s", HURRY)


def test_a_silent_name_server_gets_the_deadline(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [release.wait(5)][1:])
    with pytest.raises(ImageError, match=r"timeout=0\.3 s"):
        download("https://img.example.org/", HURRY, dial=Web().dial)
    release.set()


def test_the_resolver_gives_every_address(monkeypatch):
    answers = [(2, 1, 6, "", (PUBLIC, 443)), (10, 1, 6, "", ("::1", 443, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    assert fetch.resolve_host("img.example.org", 443, timeout=1) == [PUBLIC, "::1"]


@pytest.mark.parametrize("problem", [socket.gaierror("unknown"), UnicodeError("label too long")])
def test_a_failing_resolver_is_an_image_error(monkeypatch, problem):
    def fail(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ImageError, match="could not be downloaded"):
        download("https://img.example.org/", HOSTS, dial=Web().dial)


def test_a_host_without_addresses_is_an_image_error():
    Web(names={"img.example.org": []}).refuses("https://img.example.org/", "has no address")


def test_plain_http_needs_its_switch_and_gets_no_tls():
    policy = ImagePolicy(allowed_hosts=("img.example.org",), allow_http=True)
    web = Web(reply(b"abc"))
    assert web.get("http://img.example.org/", policy) == b"abc"
    assert web.dialled == [(PUBLIC, 80, None)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -keyout key.pem -out cert.pem -subj /CN=img.example.org"
        " -addext subjectAltName=DNS:img.example.org"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize(
    ("name", "trusted"),
    [("img.example.org", True), ("b.example.org", True), ("img.example.org", False)],
)
def test_tls_verifies_the_certificate_and_sends_the_name(certificate, monkeypatch, name, trusted):
    cert, key = certificate
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    names: list[str | None] = []
    server.sni_callback = lambda _, asked, __: names.append(asked)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    real = ssl.create_default_context
    monkeypatch.setattr(
        ssl, "create_default_context", lambda: real(cafile=cert if trusted else None)
    )
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: ours)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        if trusted and name == "img.example.org":
            fetch.dial_address(PUBLIC, 443, server_name=name, timeout=5).close()
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                fetch.dial_address(PUBLIC, 443, server_name=name, timeout=5)
            assert ours.fileno() == -1
    finally:
        thread.join(5)
    assert names == [name]


def test_a_stalled_tls_handshake_gets_the_deadline(monkeypatch):
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: ours)
    with theirs, pytest.raises(TimeoutError):
        fetch.dial_address(PUBLIC, 443, server_name="img.example.org", timeout=0.2)
