"""Hostile URLs and paths, put to the image policy; nothing leaves the process."""

import itertools
import re
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from unittest.mock import patch

from address_cases import TIMEOUT, Case, Server, cases
from outcome import Found
from web import Web

from memvr_integrations.backend.images import fetch, load_image
from memvr_integrations.backend.images.fetch import dial_address, is_public
from memvr_integrations.errors import ImageError

_GRACE = 5.0  # seconds; within them even a busy machine says so
_LONGEST = 1000  # characters of an error


class Net(Web):
    """The web of the tests; a name that it does not know is an address that speaks for itself."""

    def __init__(self, case: Case) -> None:
        super().__init__(*case.servers, names=case.names)
        self._tls, self.opened = case.tls, list[socket.socket]()

    def resolve(self, host: str, port: int, *, timeout: float) -> Sequence[str]:
        """Names as they were given; addresses as the system reads them, without asking anyone."""
        if host in self.names:
            return super().resolve(host, port, timeout=timeout)
        if host == "localhost":
            return ["127.0.0.1"]
        try:
            return [socket.inet_ntoa(socket.inet_aton(host))]
        except OSError:
            socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
            return [host]

    def dial(
        self, address: str, port: int, *, server_name: str | None, timeout: float
    ) -> socket.socket:
        """A socket pair; with TLS the package's own connection on it."""
        self.dialled.append((address, port, server_name))
        server = self.replies.pop(0)
        if isinstance(server, Exception):
            raise server
        ours, theirs = socket.socketpair()
        self.opened.append(ours)
        threading.Thread(target=self._serve, args=(theirs, server), daemon=True).start()
        if not self._tls:
            return ours
        with patch("socket.create_connection", lambda *_: ours):
            return dial_address(address, port, server_name=server_name, timeout=timeout)

    def _serve(self, stream: socket.socket, script: Server) -> None:
        with stream, suppress(OSError):  # the client hangs up
            if not self._tls:
                stream.recv(2**16)
            if callable(script):
                script(stream)
            elif isinstance(script, bytes):
                stream.sendall(script)


def tried(case: Case) -> str:
    """What is wrong with how an address is refused; empty where nothing is."""
    net = Net(case)
    begun = time.monotonic()
    with patch.multiple(fetch, resolve_host=net.resolve, dial_address=net.dial):
        why = _refusal(case)
    seconds = time.monotonic() - begun
    if inside := [address for address, *_ in net.dialled if not is_public(address)]:
        return f"{inside[0]} was dialled"
    if any(one.fileno() >= 0 for one in net.opened):
        return "a connection was left open"
    if seconds > TIMEOUT + _GRACE:
        return f"it took {seconds:.1f} s"
    return why


def _refusal(case: Case) -> str:
    try:
        picture = load_image(case.source, case.policy)
    except ImageError as error:
        said = str(error)
        if len(said) > _LONGEST or "secret" in said:
            return f"an error of {len(said)} characters: {said[:200]}"
        return "" if re.search(case.says, said) else f"it says {said[:200]!r}"
    except Exception as error:
        return f"{type(error).__name__} instead of an ImageError: {error}"
    return f"a picture of {picture.size} came of it"


def soak() -> Found:
    """Hostile URLs and paths, by kind: each an ImageError that says what it should, in its time."""
    figures: dict[str, int | float | str] = {}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, group in itertools.groupby(cases(Path(folder)), attrgetter("kind")):
            times = []
            for case in group:
                begun = time.monotonic()
                if why := tried(case):
                    wrong.append(f"{kind}, {case.name}: {why}")
                times.append(time.monotonic() - begun)
            figures[kind] = f"{len(times)} refused, the slowest after {max(times):.2f} s"
    figures["time that a fetch may take, s"] = TIMEOUT
    figures["beyond it, where the machine is busy, s"] = _GRACE
    return Found(figures=figures, wrong=tuple(wrong))
