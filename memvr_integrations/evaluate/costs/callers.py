"""What callers get who come at once: throughput, and how long each of them waits.

Every picture is a fresh one, MemVR is on with the model's preset, and all are seconds of real time
with as many threads as torch takes.
"""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from memvr_integrations.backend.serving.backend import Backend
from memvr_integrations.evaluate.costs.figures import Spread, Table
from memvr_integrations.evaluate.costs.subject import Subject, settle
from memvr_integrations.types import Request

EQUAL = (24,) * 16
MIXED = (3, 60, 6, 3, 24, 12, 3, 40) * 2
CALLERS = (1, 4, 16, 64)
_LENGTHS = (3, 3, 3, 3, 6, 12, 24, 60, 120)  # of the answers to questions that come by chance
_SHORT = 3
_GAP = 0.06  # seconds between two questions, on average
_SHARES = (0.5, 0.9, 0.99)


def at_once(backend: Backend, subject: Subject, rounds: int, lengths: Sequence[int]) -> Spread:
    """How many times the throughput is that of the same questions asked in turn."""
    found = []
    for _ in range(rounds):
        turns = [subject.ask(tokens) for tokens in lengths]
        together = [subject.ask(tokens) for tokens in lengths]
        in_turn = sum(_seconds(backend, one) for one in turns)
        found.append(in_turn / _seconds(backend, *together))
    return Spread(found)


def beside(backend: Backend, subject: Subject, rounds: int, long: int = 200) -> Spread:
    """How many times as long a question of 3 tokens takes while a long answer runs."""
    return Spread([asyncio.run(_beside(backend, subject, long)) for _ in range(rounds)])


async def _beside(backend: Backend, subject: Subject, long: int) -> float:
    async def short() -> float:
        question = subject.ask(_SHORT)
        started = time.perf_counter()
        await backend.agenerate(question)
        return time.perf_counter() - started

    alone = await short()
    answer = backend.astream(subject.ask(long))
    try:
        await anext(answer)  # it runs
        return await short() / alone
    finally:
        await answer.aclose()
        settle(backend)


def table(backend: Backend, subject: Subject, rounds: int) -> Table:
    """What callers gain or lose by each other, as ratios within a round."""
    found = {
        "16 answers of 24 tokens: in turn / at once": at_once(backend, subject, rounds, EQUAL),
        "16 answers of 3 to 60 tokens: in turn / at once": at_once(backend, subject, rounds, MIXED),
        "3 tokens beside an answer of 200 / alone": beside(backend, subject, rounds),
    }
    return Table(
        title="Callers at once",
        columns=["ratio"],
        charted="ratio",
        rows={name: [spread] for name, spread in found.items()},
    )


def _seconds(backend: Backend, *requests: Request) -> float:
    started = time.perf_counter()
    backend.generate(requests)
    settle(backend)
    return time.perf_counter() - started


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """A question that came by chance: seconds from when it was asked."""

    tokens: int
    first: float
    whole: float


def by_chance(
    backend: Backend, subject: Subject, rounds: int, requests: int, most: Sequence[int] = CALLERS
) -> Table:
    """Questions that come as a Poisson process, to so many callers.

    Who asks waits for the answer: a question that comes while all callers wait is asked as soon
    as one of them has his answer, and counts from then on.
    """
    rng, found = random.Random(0), {callers: list[list[float]]() for callers in most}
    for _ in range(rounds):
        arrivals, at = list[tuple[float, int]](), 0.0
        for _ in range(requests):
            at += rng.expovariate(1 / _GAP)
            arrivals.append((at, rng.choice(_LENGTHS)))
        for callers, measured in found.items():
            plan = [(at, subject.ask(tokens)) for at, tokens in arrivals]
            measured.append(asyncio.run(_served(backend, plan, callers)))
    measures = ["first token", f"answers of {_SHORT} tokens", "all answers"]
    columns = [f"{measure}, {share:.0%}, s" for measure in measures for share in _SHARES]
    return Table(
        title="Questions by chance",
        note=f"one every {_GAP} s on average, {requests} a round, answers of "
        f"{min(_LENGTHS)} to {max(_LENGTHS)} tokens.",
        columns=["tokens/s", *columns],
        charted="tokens/s",
        rows={
            f"at most {callers} at once": [_known(v) for v in zip(*measured, strict=True)]
            for callers, measured in found.items()
        },
    )


async def _served(
    backend: Backend, plan: Sequence[tuple[float, Request]], callers: int
) -> list[float]:
    """Tokens a second, and percentiles of the waits."""
    free, started = asyncio.Semaphore(callers), time.perf_counter()

    async def ask(at: float, request: Request) -> _Answered:
        await asyncio.sleep(at - (time.perf_counter() - started))
        async with free:
            asked, first = time.perf_counter(), math.nan
            async for chunk in backend.astream(request):
                if math.isnan(first) and chunk.tokens:
                    first = time.perf_counter() - asked
            whole = time.perf_counter() - asked
        return _Answered(tokens=request.sampling.max_tokens, first=first, whole=whole)

    answers = await asyncio.gather(*(ask(at, request) for at, request in plan))
    took = time.perf_counter() - started
    settle(backend)
    waits = [
        [answer.first for answer in answers],
        [answer.whole for answer in answers if answer.tokens == _SHORT],
        [answer.whole for answer in answers],
    ]
    shares = [percentile(times, share) for times in waits for share in _SHARES]
    return [sum(answer.tokens for answer in answers) / took, *shares]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above; NaN of none."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan


def _known(values: Sequence[float]) -> Spread:
    return Spread([value for value in values if not math.isnan(value)])
