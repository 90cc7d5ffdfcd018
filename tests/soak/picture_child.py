"""Loads hostile pictures in a process of its own, whose death is then a finding.

A line in, `number of a case` or `kind/name` of a bomb, is a line of JSON out, a `Verdict`.
"""

import json
import os
import resource
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from picture_bombs import BOMBS
from picture_cases import Case, case
from PIL import Image

from memvr_integrations.backend.images import ImagePolicy, load_image
from memvr_integrations.errors import ImageError, MemVRWarning

CASES = ImagePolicy(max_pixels=4_000_000, max_bytes=2**21)
_ADDRESSES = 3 * 2**30  # bytes; beyond them the decoder gets a MemoryError
_LONGEST = 1500  # characters of an error


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a picture: `outcome` is "picture", "refused" or "wrong", `why` a sentence.

    `seconds` are those of computing, `peak` are the bytes that it took on top, `resident` those of
    the process after it.
    """

    about: str
    outcome: str
    why: str
    seconds: float
    peak: int
    resident: int


def verdict(one: Case, policy: ImagePolicy) -> Verdict:
    """Load a picture and see what it does to the process."""
    files, before = _open_files(), _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    begun = time.process_time()  # the machine may be busy
    with warnings.catch_warnings(record=True) as noted:
        outcome, why = _loaded(one, policy)
    seconds, peak = time.process_time() - begun, _memory("VmHWM") - before
    # Pillow checks a GIF's first frame while it opens the file, before our own limit can act.
    known = (MemVRWarning, Image.DecompressionBombWarning) if outcome == "refused" else MemVRWarning
    stray = [str(one.message) for one in noted if not issubclass(one.category, known)]
    if stray:
        outcome, why = "wrong", f"{len(stray)} warnings that are not ours, the first: {stray[0]}"
    if _open_files() != files:
        outcome, why = "wrong", "it left a file open"
    return Verdict(
        about=one.about,
        outcome=outcome,
        why=why[:300],
        seconds=seconds,
        peak=peak,
        resident=_memory("VmRSS"),
    )


def _loaded(one: Case, policy: ImagePolicy) -> tuple[str, str]:
    try:
        picture = load_image(one.source, policy)
    except ImageError as error:
        if isinstance(error.__cause__, MemoryError):
            return "wrong", f"it asked for more memory than there is: {error}"
        if len(str(error)) > _LONGEST:
            return "wrong", f"its error has {len(str(error))} characters: {error}"
        return "refused", str(error)
    except Exception as error:
        return "wrong", f"{type(error).__name__} instead of an ImageError: {error}"
    width, height = picture.size
    if picture.mode != "RGB" or not 0 < width * height <= policy.max_pixels:
        return "wrong", f"a picture of mode {picture.mode} and size {picture.size}"
    if len(picture.tobytes()) != 3 * width * height:
        return "wrong", "its pixels are not all there"
    return "picture", ""


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _serve(seed: int, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            kind, _, name = line.strip().partition("/")
            if kind == "case":
                found = verdict(case(seed, int(name), Path(folder)), CASES)
            else:
                bomb = BOMBS[kind][name](size - 2**16)  # the rest is for what it is put into
                found = verdict(Case(about=f"{len(bomb)} bytes", source=bomb), ImagePolicy())
            print(json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
