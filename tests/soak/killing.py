"""Work in a process of its own that is killed, or whose disk is full, at a chosen moment."""

import multiprocessing
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from unittest.mock import patch

from tqdm import tqdm

from memvr_integrations.errors import MemVRError

# Work gets a function to report with: what it has reported has to be on disk.
Report = Callable[[object], None]
Work = Callable[..., None]

_PATIENCE = 60  # seconds


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What work had reported when it ended, and the error that it ended by, if any."""

    reported: list[object]
    killed: bool
    error: str = ""
    typed: bool = True


class Running:
    """A process at work; `most_bytes` is how large its files may grow, as on a full disk."""

    def __init__(self, work: Work, *arguments: object, most_bytes: int | None = None) -> None:
        # Forked from a server that has imported all: a fresh one takes seconds to begin.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([work.__module__])
        self._messages, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_work, args=(theirs, most_bytes, work, arguments), daemon=True
        )
        with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):  # the server's
            self._process.start()
        theirs.close()

    def end(self, *, reports: int | None = None, pause: float = 0.0) -> Ended:
        """Wait until it ends, or kill it so many seconds after it reported so many times."""
        got: list[tuple[str, object]] = []
        with self._messages, suppress(EOFError, OSError):  # the last message may be cut off
            while reports is None or len(got) < reports:
                if not self._messages.poll(_PATIENCE):
                    got.append(("untyped", f"nothing was done for {_PATIENCE} s"))
                    break
                got.append(self._messages.recv())
            time.sleep(pause)
            self._process.kill()
            while True:
                got.append(self._messages.recv())
        self._process.join()
        code = self._process.exitcode
        self._process.close()
        errors = [(kind, str(what)) for kind, what in got if kind != "reported"]
        kind, error = errors[-1] if errors else ("typed", "")
        if not error and code and code != -9:
            kind, error = "untyped", f"the process ended with code {code}"
        reported = [what for kind, what in got if kind == "reported"]
        return Ended(reported=reported, killed=code == -9, error=error, typed=kind == "typed")


def _work(
    messages: Connection, most_bytes: int | None, work: Work, arguments: tuple[object, ...]
) -> None:
    # Its bars share a lock among all processes of one server, which a killed one keeps.
    tqdm.set_lock(threading.RLock())
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
    try:
        work(lambda what: messages.send(("reported", what)), *arguments)
    except MemVRError as error:
        messages.send(("typed", f"{type(error).__name__}: {error}"))
    except Exception as error:
        messages.send(("untyped", f"{type(error).__name__}: {error}"))
