"""Downloads of images: allow-listed hosts, public addresses only, one deadline for everything.

Whoever writes a message writes its URLs, so a URL is an order to connect from a stranger.
Hence: a name is resolved once, every address it has must be public, and the connection goes
to the very address that was checked. A redirect starts the checks again. Proxies of the
environment are not used: a proxy would resolve the name a second time.
"""

import http.client
import io
import logging
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote, urljoin, urlsplit

from memvr_integrations.errors import ImageError
from memvr_integrations.types.image_policy import ImagePolicy, host_and_port

logger = logging.getLogger(__name__)

_DEFAULT_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_BLOCK = 2**16
_LONGEST_HOST = 253  # characters, says DNS
_NAT64 = IPv6Network("64:ff9b::/96")
# urlsplit drops some of these and browsers read a backslash as a slash: two readers of one
# URL must not see two hosts.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, kw_only=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str
    shown: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def resolve_host(host: str, port: int, *, timeout: float) -> Sequence[str]:
    """Ask the system's resolver for every address of `host`; TimeoutError after `timeout`."""
    answers: queue.SimpleQueue[list[str] | OSError | ValueError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(entry[4][0]) for entry in found])
        except (OSError, ValueError) as problem:
            answers.put(problem)

    # getaddrinfo has no time-out of its own; a daemon does not hold up the interpreter's exit.
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError(f"no DNS answer for {host!r}") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def dial_address(
    address: str, port: int, *, server_name: str | None, timeout: float
) -> socket.socket:
    """Open a TCP connection, and verified TLS on it for `server_name`; OSError if it fails."""
    deadline = time.monotonic() + timeout
    plain = socket.create_connection((address, port), timeout)
    if server_name is None:
        return plain
    try:
        plain.settimeout(_seconds_left(deadline))
        return ssl.create_default_context().wrap_socket(plain, server_hostname=server_name)
    except BaseException:
        plain.close()
        raise


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, also under its IPv6 disguises."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        inside = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inside = IPv4Address(ip.packed[-4:])
        if inside is not None:
            return is_public(str(inside))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def shown_url(url: str) -> str:
    """Shorten a URL for a message, without password and query: both may hold secrets."""
    bare = re.split(r"[?#]", re.sub(r"//[^/]*@", "//", url), maxsplit=1)[0]
    return repr(bare if len(bare) <= 120 else bare[:119] + "…")


def download(url: str, policy: ImagePolicy) -> bytes:
    """Download what `url` holds, as far as `policy` lets it.

    ImageError if the URL, its host, an address, a redirect, the size or the time is refused,
    and for every failure of the network.
    """
    deadline = time.monotonic() + policy.timeout
    here = url
    for _ in range(policy.max_redirects + 1):
        target = _checked_target(here, policy)
        logger.debug("downloading %s", target.shown)
        try:
            with closing(_connect(target, deadline)) as stream:
                answer = _ask(target, stream, deadline, policy)
            if isinstance(answer, bytes):
                logger.debug("%s holds %d bytes", target.shown, len(answer))
                return answer
            here = urljoin(here, answer)
            logger.debug("%s redirects to %s", target.shown, shown_url(here))
        except ImageError:
            raise
        except TimeoutError as problem:
            raise ImageError(
                f"{target.shown} was not there after timeout={policy.timeout} s; "
                "raise ImagePolicy.timeout, or download it yourself and pass the bytes"
            ) from problem
        except (OSError, http.client.HTTPException, ValueError) as problem:
            raise ImageError(f"{target.shown} could not be downloaded: {problem!r}") from problem
    raise ImageError(
        f"{shown_url(url)} redirects more than max_redirects={policy.max_redirects} times; "
        "pass the URL it ends at"
    )


def _seconds_left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _is_allowed(host: str, port: int, policy: ImagePolicy) -> bool:
    for entry in policy.allowed_hosts:
        name, only_port = host_and_port(entry)
        ports = _DEFAULT_PORTS.values() if only_port is None else (only_port,)
        same = name == "*" or (host.endswith(name) if name.startswith(".") else host == name)
        if same and port in ports:
            return True
    return False


def _checked_target(url: str, policy: ImagePolicy) -> _Target:
    shown = shown_url(url)
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        query = quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    except ValueError as problem:
        raise ImageError(f"{shown} is not a URL: {problem}") from problem
    host = (parts.hostname or "").removesuffix(".")
    if _AMBIGUOUS.search(url) or not 0 < len(host) <= _LONGEST_HOST or not host.isascii():
        raise ImageError(
            f"{shown} is not a plain URL; write https://host/path, "
            "special characters as %XX and an international host as xn--..."
        )
    if "@" in parts.netloc:
        raise ImageError(f"{shown} holds a user name or password; pass the URL without")
    if parts.scheme == "http" and not policy.allow_http:
        raise ImageError(
            f"{shown} is plain http; use https, download it yourself and pass the bytes, or pass "
            "image_policy=ImagePolicy(allow_http=True, ...)"
        )
    if parts.scheme not in _DEFAULT_PORTS:
        raise ImageError(f"{shown} has the scheme {parts.scheme!r}; only https is downloaded")
    if not _is_allowed(host, port, policy):
        entry = host if port in _DEFAULT_PORTS.values() else f"{host}:{port}"
        raise ImageError(
            f"{shown} is not downloaded: allowed_hosts={policy.allowed_hosts!r} lacks {entry!r}; "
            f"pass image_policy=ImagePolicy(allowed_hosts=[{entry!r}]), or the bytes of the image"
        )
    path = f"{path}?{query}" if query else path
    return _Target(scheme=parts.scheme, host=host, port=port, path=path, shown=shown)


def _connect(target: _Target, deadline: float) -> socket.socket:
    addresses = resolve_host(target.host, target.port, timeout=_seconds_left(deadline))
    for address in addresses:
        if not is_public(address):
            raise ImageError(
                f"{target.shown} leads to {address}, which is not a public address; "
                "download it yourself and pass the bytes"
            )
    server_name = target.host if target.scheme == "https" else None
    failure = OSError(f"{target.host} has no address")
    for tried, address in enumerate(addresses):
        # A dead first address must leave time for the second.
        share = _seconds_left(deadline) / (len(addresses) - tried)
        try:
            return dial_address(address, target.port, server_name=server_name, timeout=share)
        except OSError as problem:
            failure = problem
    raise failure


class _TimedStream(io.RawIOBase):
    """What a socket receives until one deadline: a server that drips must not get more."""

    def __init__(self, stream: socket.socket, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._stream.settimeout(_seconds_left(self._deadline))
        return self._stream.recv_into(buffer)


def _ask(
    target: _Target, stream: socket.socket, deadline: float, policy: ImagePolicy
) -> bytes | str:
    """Send the request and give its body, or the place that it redirects to."""
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = stream
    stream.settimeout(_seconds_left(deadline))
    headers = {
        "Host": target.host_header,
        "Accept": "image/*",
        # The limit counts bytes received; a compressed answer would be larger than it counts.
        "Accept-Encoding": "identity",
        "User-Agent": "memvr-integrations",
        "Connection": "close",
    }
    connection.request("GET", target.path, headers=headers)
    with http.client.HTTPResponse(stream, method="GET") as response:
        response.fp.close()
        response.fp = io.BufferedReader(_TimedStream(stream, deadline))
        response.begin()
        while 100 <= response.status < 200:  # hints come before the answer, as "103 Early Hints"
            response.headers = None  # type: ignore[assignment]  # else nothing more is read
            response.begin()
        location = response.getheader("Location")
        if response.status in _REDIRECTS and location:
            return location
        if response.status != 200:
            raise ImageError(
                f"{target.shown} answered {response.status} {response.reason!r}, not 200; "
                "open the URL in a browser to see why"
            )
        return _body(response, target.shown, policy)


def _body(response: http.client.HTTPResponse, shown: str, policy: ImagePolicy) -> bytes:
    encoding = response.getheader("Content-Encoding") or "identity"
    if encoding.lower() != "identity":
        raise ImageError(f"{shown} came compressed as {encoding!r}, which was not asked for")
    announced = response.length or 0
    received = bytearray()
    while announced <= policy.max_bytes and len(received) <= policy.max_bytes:
        block = response.read(_BLOCK)
        if not block:
            break
        received += block
    size = max(announced, len(received))
    if size > policy.max_bytes:
        raise ImageError(
            f"{shown} holds {size} bytes or more, above max_bytes={policy.max_bytes}; "
            "make the image smaller, or raise ImagePolicy.max_bytes"
        )
    if response.length:
        raise ImageError(f"{shown} broke off: {response.length} of {announced} bytes are missing")
    return bytes(received)
