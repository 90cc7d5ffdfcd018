"""How much memory requests leave behind: nothing, what is kept on purpose apart."""

import gc
import random
import resource
from collections.abc import Sequence
from pathlib import Path

import torch

from memvr_integrations.backend.serving.backend import Backend
from memvr_integrations.evaluate.costs.figures import Spread, Table
from memvr_integrations.evaluate.costs.subject import Subject, settle
from memvr_integrations.types import Request, SamplingParams

_STATUS = Path("/proc/self/statm")
_TOGETHER = 8
_PERIODS = 4
LEAST = _TOGETHER * _PERIODS
_MIB = 2**20


def table(subject: Subject, requests: int) -> Table:
    """What the process holds while it answers mixed requests, `LEAST` or more; nothing is kept."""
    rng, held = random.Random(0), list[float]()
    with Backend(subject.loaded, cache_bytes=0, prefix_bytes=0) as backend:
        for _ in range(requests // _TOGETHER):
            backend.generate([_mixed(rng, subject) for _ in range(_TOGETHER)])
            settle(backend)
            gc.collect()
            held.append(_held())
    return _compared(held, requests)


def _compared(held: Sequence[float], requests: int) -> Table:
    """The first quarter warms up; the last is compared with the second."""
    size = len(held) // _PERIODS
    second, last = held[size : 2 * size], held[-size:]
    rows = {
        "second quarter, MiB": second,
        "last quarter, MiB": last,
        "last quarter / second": Spread.ratio(last, second).values,
        "peak, MiB": [_peak()],
    }
    if torch.cuda.is_available():
        rows["peak on the GPU, MiB"] = [torch.cuda.max_memory_allocated() / _MIB]
    return Table(
        title="Memory",
        note=f"{requests:,} mixed requests, {_TOGETHER} at a time; no features and no prompts "
        "are kept.",
        columns=["process"],
        charted="process",
        rows={name: [Spread(values)] for name, values in rows.items()},
    )


def _mixed(rng: random.Random, subject: Subject) -> Request:
    """One of many kinds: pictures or none, MemVR or not, greedy or sampled, one answer or two."""
    pictures = [next(subject.pictures) for _ in range(rng.choice((0, 1, 1, 1, 2)))]
    sampling = SamplingParams(
        max_tokens=rng.choice((1, 3, 6, 12, 24)),
        temperature=rng.choice((0.0, 1.0)),
        n=rng.choice((1, 1, 1, 2)),
        seed=rng.randrange(1000),
        top_logprobs=rng.choice((0, 0, 5)),
    )
    question = rng.choice(("Describe the image.", "Is there a dog?", "How many animals are there?"))
    return Request.ask(
        question,
        *pictures,
        sampling=sampling,
        memvr=rng.choice((True, True, None)),
        decoding=rng.choice((None, None, None, "flb", "dola", "icd")),
    )


def _held() -> float:
    """MiB that the process has in memory now."""
    pages = int(_STATUS.read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / _MIB


def _peak() -> float:
    """MiB that it had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
