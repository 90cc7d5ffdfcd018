"""Name server and web servers for the tests of downloads, at the other end of a socket pair.

Nothing leaves the process.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from unittest.mock import patch

import pytest

from memvr_integrations.backend.images import fetch
from memvr_integrations.errors import ImageError
from memvr_integrations.types.image_policy import ImagePolicy

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
        with patch.multiple(fetch, resolve_host=self.resolve, dial_address=self.dial):
            return fetch.download(url, policy)

    def refuses(self, url: str, match: str, policy: ImagePolicy = HOSTS) -> str:
        with pytest.raises(ImageError, match=match) as caught:
            self.get(url, policy)
        return str(caught.value)


def redirect(location: str, status: str = "302 Found") -> bytes:
    return reply(b"", status, f"Location: {location}", "Content-Length: 0")
