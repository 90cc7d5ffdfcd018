"""Pictures made to do harm, decoded in a process that is watched."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from outcome import Found
from picture_bombs import BOMBS
from picture_child import Verdict

DEADLINE = 10.0  # seconds of computing for a picture
_HANG = 600.0  # seconds in which bombs are made, and modules imported, on a machine that is busy
_MIB = 2**20
_MOST = {"case": 256 * _MIB, "huge": 32 * _MIB, "stalling": 128 * _MIB, "dear": 1536 * _MIB}
_ABOUT = {
    "huge": "files that say they are too large",
    "stalling": "files of the most and smallest parts",
    "dear": "the largest pictures that the default policy lets in",
}
_LEAK = 64 * _MIB  # bytes that the process may grow over all
_SHOWN = 20  # findings; the rest is counted


class Decoder:
    """The process that loads pictures; a new one takes the place of one that died or hung."""

    def __init__(self, seed: int, size: int, patience: float = _HANG) -> None:
        self._arguments, self._patience = [str(seed), str(size)], patience
        self._start()

    def _start(self) -> None:
        # Every warning is shown: under the default ones most would pass unseen.
        program = [
            sys.executable,
            "-W",
            "always",
            str(Path(__file__).with_name("picture_child.py")),
        ]
        self._child = subprocess.Popen(
            [*program, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def load(self, name: str) -> Verdict:
        """What becomes of a case or bomb; the process's death or silence is a verdict too."""
        begun = time.monotonic()
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(f"{name}\n")
            self._child.stdin.flush()
        ready, _, _ = select.select([self._child.stdout], [], [], self._patience)
        line = self._child.stdout.readline() if ready else ""
        if line:
            return Verdict(**json.loads(line))
        if not ready:
            self._child.kill()
        code = self._child.wait()
        died = signal.Signals(-code).name if code < 0 else f"code {code}"
        why = f"the decoder died of {died}" if ready else "it never ended"
        self.close()
        self._start()
        seconds = time.monotonic() - begun
        return Verdict(about="", outcome="wrong", why=why, seconds=seconds, peak=0, resident=0)

    def close(self) -> None:
        """End the process."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class Tally:
    """Verdicts summed up."""

    def __init__(self) -> None:
        self.outcomes = {"picture": 0, "refused": 0, "wrong": 0}
        self.wrong: list[str] = []
        self.slowest = self.dearest = 0.0
        self.resident: list[int] = []

    def take(self, name: str, one: Verdict) -> None:
        """Judge one more."""
        kind = name.partition("/")[0]
        why = one.why if one.outcome == "wrong" else ""
        if not why and one.seconds > DEADLINE:
            why = f"it took {one.seconds:.1f} s"
        if not why and one.peak > _MOST[kind]:
            why = f"it took {one.peak // _MIB} MiB"
        if not why and kind == "huge" and one.outcome != "refused":
            why = "it was let in"
        self.outcomes["wrong" if why else one.outcome] += 1
        if why:
            self.wrong.append(f"{name} ({one.about}): {why}")
        self.slowest, self.dearest = max(self.slowest, one.seconds), max(self.dearest, one.peak)
        if one.resident:
            self.resident.append(one.resident)


def soak(
    *, minutes: float = 60.0, seed: int = 0, first: int = 0, count: int = 0, mib: int = 20
) -> Found:
    """Pictures of every format, changed by chance, and bombs: a picture or a typed error, in time.

    `count` cases from number `first` on, or as many as fit into `minutes` where it is 0; bombs are
    files of up to `mib` MiB, and left out where that is 0. A number gives the same picture again:
    `--seed 0 --first 17 --count 1 --mib 0`.
    """
    end = time.monotonic() + 60 * minutes
    decoder = Decoder(seed, mib * _MIB)
    tallies = {kind: Tally() for kind in _MOST}
    try:
        for kind, names in (BOMBS if mib else {}).items():
            for name in names:
                tallies[kind].take(f"{kind}/{name}", decoder.load(f"{kind}/{name}"))
        number = first
        while time.monotonic() < end and not (count and number == first + count):
            tallies["case"].take(f"case/{number}", decoder.load(f"case/{number}"))
            number += 1
    finally:
        decoder.close()
    return _found(tallies)


def _found(tallies: dict[str, Tally]) -> Found:
    cases = tallies["case"]
    wrong = [sentence for tally in tallies.values() for sentence in tally.wrong]
    grown = cases.resident[-1] - cases.resident[len(cases.resident) // 10] if cases.resident else 0
    if grown > _LEAK:
        wrong.append(f"the process grew by {grown // _MIB} MiB over the cases")
    if len(wrong) > _SHOWN:
        wrong[_SHOWN:] = [f"and {len(wrong) - _SHOWN} more"]
    figures: dict[str, int | float | str] = {
        "changed pictures": sum(cases.outcomes.values()),
        "of them shown": cases.outcomes["picture"],
        "of them refused by an ImageError": cases.outcomes["refused"],
        "anything else (another error, a crash, a hang, a warning, an open file)": len(wrong),
        "slowest of them, s of computing": round(cases.slowest, 2),
        "most memory that one took, MiB (4 million pixels are let in)": round(cases.dearest / _MIB),
        "growth of the process from the first tenth on, MiB": round(grown / _MIB),
    }
    for kind, about in _ABOUT.items():
        tally = tallies[kind]
        if not tally.resident:
            continue
        figures[about] = (
            f"{sum(tally.outcomes.values())}, {tally.outcomes['refused']} refused; at most "
            f"{tally.slowest:.1f} s and {tally.dearest / _MIB:.0f} MiB"
        )
    return Found(figures=figures, wrong=tuple(wrong))
