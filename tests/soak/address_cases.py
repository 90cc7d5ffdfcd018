"""Hostile URLs and paths, each with what is at its other end and what its error has to say."""

import gzip
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from web import PUBLIC, redirect, reply

from memvr_integrations.backend.images import ImagePolicy, ImageSource

HOST = "https://img.example.org"
TIMEOUT = 0.25  # seconds of a download
OPEN = ImagePolicy(allowed_hosts=["*"], allow_http=True, timeout=TIMEOUT, max_bytes=2**20)
Server = bytes | Exception | Callable[[socket.socket], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """An address, what stands at the other end of it, and what the error has to say.

    Only what may be dialled has `servers`; `names` are the name server's answers.
    """

    kind: str
    name: str
    source: ImageSource
    says: str
    servers: Sequence[Server] = ()
    names: dict[str, list[str] | list[list[str]]] | None = None
    policy: ImagePolicy = OPEN
    tls: bool = False


def _urls() -> Iterator[Case]:
    """Addresses that may not even be resolved."""
    narrow = replace(OPEN, allowed_hosts=["img.example.org"], allow_http=False)
    for name, url, says in (
        ("another host", "https://evil.example/a.png", "allowed_hosts"),
        ("a longer name", "https://evil-img.example.org/", "allowed_hosts"),
        ("a name in front", f"{HOST}.evil.example/", "allowed_hosts"),
        ("user name", "https://img.example.org@evil.example/", "user name"),
        ("password", "https://a:b@img.example.org/", "user name"),
        ("backslash", "https://evil.example\\@img.example.org/", "plain URL"),
        ("backslashes", "https:\\\\evil.example/", "plain URL|scheme"),
        ("null byte", "https://img.example.org\0.evil.example/", "plain URL"),
        ("tab in the name", "https://img.exa\tmple.org/", "plain URL"),
        ("new line", f"{HOST}/\r\nHost: evil.example", "plain URL"),
        ("ideographic dot", "https://img。example。org/", "plain URL|not a URL"),
        ("full-width letters", "https://ｉmg.example.org/", "plain URL|not a URL"),  # noqa: RUF001
        ("international name", "https://imgé.example.org/", "plain URL"),
        ("half a character", f"{HOST}/\udc80", "not a URL"),
        ("no host", "https:///etc/passwd", "plain URL"),
        ("open bracket", "https://[::1/", "not a URL"),
        ("port of another service", f"{HOST}:22/", "allowed_hosts"),
        ("port beyond all", f"{HOST}:99999/", "not a URL"),
        ("plain http", "http://img.example.org/", "plain http"),
        ("ftp", "ftp://img.example.org/a.png", "scheme 'ftp'"),
        ("gopher", "gopher://img.example.org/", "scheme 'gopher'"),
        ("javascript", "javascript:alert(1)", "scheme 'javascript'"),
        ("jar", "jar:file:///a.zip!/b", "scheme 'jar'"),
        ("huge name", "https://" + "a" * 2**20 + ".example.org/", "allowed_hosts|URL"),
    ):
        yield Case(kind="URLs", name=name, source=url, says=says, policy=narrow)


def _inside() -> Iterator[Case]:
    """Addresses of this machine and its neighbours, in every way to write them."""
    for name, host in (
        ("loopback", "127.0.0.1"),
        ("short", "127.1"),
        ("decimal", "2130706433"),
        ("octal", "0177.0.0.1"),
        ("hexadecimal", "0x7f000001"),
        ("hexadecimal parts", "0x7f.0.0.1"),
        ("zero", "0"),
        ("metadata service", "169.254.169.254"),
        ("private", "10.0.0.1"),
        ("carrier", "100.64.0.1"),
        ("broadcast", "255.255.255.255"),
        ("IPv6 loopback", "[::1]"),
        ("IPv6 any", "[::]"),
        ("IPv4-mapped", "[::ffff:127.0.0.1]"),
        ("IPv4-mapped in hexadecimal", "[::ffff:7f00:1]"),
        ("IPv4-compatible", "[::127.0.0.1]"),
        ("6to4", "[2002:7f00:1::]"),
        ("NAT64", "[64:ff9b::7f00:1]"),
        ("local NAT64", "[64:ff9b:1::7f00:1]"),
        ("Teredo", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]"),
        ("unique local", "[fd00::1]"),
        ("link-local with a scope", "[fe80::1%25lo]"),
        ("site-local", "[fec0::1]"),
        ("multicast", "[ff02::1]"),
        ("dot at the end", "127.0.0.1."),
    ):
        says = "not a public address|plain URL|not a URL|could not be downloaded"
        yield Case(kind="addresses inside", name=name, source=f"http://{host}/", says=says)


def _names() -> Iterator[Case]:
    """Names that lead inside, or elsewhere the second time."""
    for name, answers, servers in (
        ("a private one among them", [PUBLIC, "10.0.0.7"], ()),
        ("mapped", ["::ffff:169.254.169.254"], ()),
        ("none", [], ()),
        ("rebinding at a redirect", [[PUBLIC], ["127.0.0.1"]], (redirect(f"{HOST}/b"),)),
        ("a dead first address", ["8.8.8.8", PUBLIC], (ConnectionRefusedError(), TimeoutError())),
    ):
        says = "not a public address|has no address|timeout="
        where: dict[str, list[str] | list[list[str]]] = {"img.example.org": answers}  # type: ignore[dict-item]
        yield Case(
            kind="names", name=name, source=f"{HOST}/", says=says, names=where, servers=servers
        )
    yield Case(kind="names", name="localhost", source="http://localhost/", says="not a public")


def _redirects() -> Iterator[Case]:
    for name, place, says in (
        ("to loopback", "http://127.0.0.1/", "not a public address"),
        ("to the metadata service", "http://169.254.169.254/latest/", "not a public address"),
        ("without a scheme", "//[::1]/", "not a public address"),
        ("to a file", "file:///etc/passwd", "scheme|plain URL"),
        ("to data", "data:image/png;base64,iVBORw0KGgo=", "scheme|plain URL"),
        ("to ftp", "ftp://img.example.org/", "scheme"),
        ("to a user name", "https://a:b@img.example.org/", "user name"),
        ("to a broken URL", "https://[::1", "not a URL|could not be downloaded"),
        ("to another port", f"{HOST}:22/", "allowed_hosts"),
        ("to nothing", "", "answered 302"),
    ):
        yield Case(
            kind="redirects", name=name, source=f"{HOST}/", says=says, servers=[redirect(place)]
        )
    loop = [redirect("/again")] * 9
    yield Case(
        kind="redirects", name="in a loop", source=f"{HOST}/", says="max_redirects=3", servers=loop
    )


def _dripping(start: bytes, drop: bytes = b"1") -> Server:
    def drip(stream: socket.socket) -> None:
        stream.sendall(start)
        while True:  # until the other side hangs up
            stream.sendall(drop)
            time.sleep(0.02)

    return drip


def _flooding(start: bytes, block: bytes) -> Server:
    def flood(stream: socket.socket) -> None:
        stream.sendall(start)
        while True:
            stream.sendall(block)

    return flood


def _silent(stream: socket.socket) -> None:
    stream.recv(1)


def _answers() -> Iterator[Case]:
    chunked, late = "Transfer-Encoding: chunked", f"timeout={TIMEOUT} s"
    ok, block = reply(b"", "200 OK", "X: y"), bytes(2**16)
    bomb = gzip.compress(bytes(2**24))
    servers: dict[str, tuple[Server, str]] = {
        "silence": (_silent, late),
        "slow status": (_dripping(b""), late),
        "slow header": (_dripping(b"HTTP/1.1 200 OK\r\nX: "), late),
        "slow body": (_dripping(ok), late),
        "slow chunks": (_dripping(reply(b"", "200 OK", chunked), b"1\r\na\r\n"), late),
        "hints without end": (_dripping(b"", reply(b"", "103 Early Hints", "X: y")), late),
        "headers without end": (
            _flooding(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 99),
            "could not be downloaded",
        ),
        "a header line without end": (
            _flooding(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 999),
            "could not be downloaded",
        ),
        "a body without end": (_flooding(ok, block), "max_bytes"),
        "chunks without end": (
            _flooding(reply(b"", "200 OK", chunked), b"10000\r\n" + block + b"\r\n"),
            "max_bytes",
        ),
        "a huge chunk": (reply(b"f" * 15 + b"\r\nabc", "200 OK", chunked), "could not be"),
        "too long a length": (reply(b"abc", "200 OK", "Content-Length: 900"), "897 of 900"),
        "a length beyond all": (reply(b"", "200 OK", f"Content-Length: {10**30}"), "max_bytes"),
        "a negative length": (reply(b"abc", "200 OK", "Content-Length: -5"), "looks like"),
        "two lengths": (
            reply(b"abc", "200 OK", "Content-Length: 3", "Content-Length: 90"),
            "looks like|missing",
        ),
        "a gzip bomb": (
            reply(bomb, "200 OK", "Content-Encoding: gzip", f"Content-Length: {len(bomb)}"),
            "compressed as 'gzip'",
        ),
        "gzip unannounced": (reply(bomb), "looks like a gzip archive"),
        "nothing": (reply(b""), "empty: 0 bytes"),
        "no content": (reply(b"", "204 No Content"), "answered 204"),
        "a part": (reply(b"abc", "206 Partial Content"), "answered 206"),
        "not found": (reply(b"", "404 Not Found"), "answered 404"),
        "no such status": (reply(b"", "999 Odd"), "answered 999"),
        "a page": (reply(b"<!DOCTYPE html><p>Hello"), "looks like HTML"),
        "an SVG": (reply(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "looks like SVG"),
        "an archive": (reply(b"PK\x03\x04" + bytes(99)), "looks like a zip"),
        "no HTTP": (b"\x16\x03\x01 not http\r\n\r\n", "could not be downloaded"),
        "HTTP 0.9": (b"<html>hello</html>", "could not be downloaded"),
        "hangs up": (b"", "could not be downloaded"),
        "refuses": (ConnectionRefusedError("refused"), "could not be downloaded"),
        "unreachable": (OSError(101, "Network is unreachable"), "could not be downloaded"),
    }
    for name, (server, says) in servers.items():
        yield Case(kind="answers", name=name, source=f"{HOST}/a.png", says=says, servers=[server])


def _files(folder: Path) -> Iterator[Case]:
    """Files beside what is allowed, and files that are none."""
    inside, outside = folder / "in", folder / "out.png"
    inside.mkdir()
    outside.write_bytes(b"secret")
    (inside / "link.png").symlink_to(outside)
    (inside / "loop.png").symlink_to(inside / "loop.png")
    (inside / "etc").symlink_to("/etc")
    os.mkfifo(inside / "pipe.png")
    (inside / "empty.png").touch()
    (inside / "large.png").touch()
    os.truncate(inside / "large.png", 2**40)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(inside / "s"))
    narrow, root = replace(OPEN, image_dirs=[inside]), inside.as_uri()
    for name, url in {
        "beside": outside.as_uri(),
        "dots": f"{root}/../out.png",
        "encoded dots": f"{root}/%2e%2e/out.png",
        "encoded slash": f"{root}/..%2fout.png",
        "twice encoded dots": f"{root}/%252e%252e/out.png",
        "a folder that begins alike": f"{root}-more/a.png",
        "a link outside": f"{root}/link.png",
        "a linked folder": f"{root}/etc/passwd",
        "a loop of links": f"{root}/loop.png",
        "passwords": "file:///etc/passwd",
        "the process": "file:///proc/self/environ",
        "a share": "file://evil.example/share/a.png",
        "a share with slashes": "file:////evil.example/share/a.png",
        "Windows' share": "\\\\evil.example\\share\\a.png",
        "Windows' drive": "file:///C:/Windows/win.ini",
        "a null byte": f"{root}/a%00.png",
        "no UTF-8": f"{root}/%ff%fe.png",
        "a name too long": f"{root}/{'a' * 5000}",
        "a deep path": f"{root}/{'a/' * 2**15}",
        "a pipe": f"{root}/pipe.png",
        "a socket": f"{root}/s",
        "the folder": root,
        "an empty file": f"{root}/empty.png",
        "a file of a terabyte": f"{root}/large.png",
    }.items():
        says = (
            "no folder of|names the host|scheme|cannot be read|a directory, a device or a pipe|"
            "is empty|above max_bytes|base64"
        )
        yield Case(kind="file URLs", name=name, source=url, says=says, policy=narrow)
    for name, path in {
        "zeros": "/dev/zero",
        "chance": "/dev/urandom",
        "the terminal": "/dev/tty",
        "memory": "/proc/self/mem",
        "the process": "/proc/self/status",
        "a descriptor": "/proc/self/fd/0",
        "a folder": str(inside),
        "a pipe": str(inside / "pipe.png"),
        "a loop of links": str(inside / "loop.png"),
        "a null byte": "a\0b",
        "a name too long": "a" * 5000,
        "a file of a terabyte": str(inside / "large.png"),
    }.items():
        says = "a directory, a device or a pipe|cannot be read|is empty|above max_bytes|looks like"
        yield Case(kind="paths", name=name, source=Path(path), says=says)


def _tls(folder: Path) -> Iterator[Case]:
    """Servers that don't prove who they are."""
    servers: dict[str, Server] = {
        "plain HTTP": reply(b"picture"),
        "garbage": b"\x15\x03\x01\0\2\2\x28" * 99,
        "hangs up": b"",
        "silence": _silent,
    }
    if shutil.which("openssl"):
        servers["a certificate of its own"] = _self_signed(folder)
    for name, server in servers.items():
        says = "could not be downloaded|timeout="
        yield Case(kind="TLS", name=name, source=f"{HOST}/", says=says, servers=[server], tls=True)


def _self_signed(folder: Path) -> Server:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -keyout key.pem -out cert.pem -subj /CN=img.example.org"
        " -addext subjectAltName=DNS:img.example.org"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return lambda stream: context.wrap_socket(stream, server_side=True).close()


def cases(folder: Path) -> Iterator[Case]:
    """All of them, with files in an empty folder."""
    for each in (_urls(), _inside(), _names(), _redirects(), _answers(), _tls(folder)):
        yield from each
    yield from _files(folder)
