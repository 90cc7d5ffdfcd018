"""The model's own probabilities of some answers beside each other, such as P(yes)."""

import math
from collections.abc import Sequence

from memvr_integrations.checks import check_integer
from memvr_integrations.errors import RequestError
from memvr_integrations.types import Request
from memvr_integrations.types.engine import Engine

YES_NO = ("Yes", "No")
"""The answers of a yes/no question; P(yes) is the first one's share."""


def shares(
    engine: Engine, request: Request, answers: Sequence[str] = YES_NO, *, retries: int = 0
) -> list[float]:
    """What each answer has of the probability of all of them: numbers from 0 to 1, summing to 1.

    While the engine's queue is full, it is asked again at least `retries` times.

    Raises:
        ConfigError: `retries` is no whole number from 0 on.
        RequestError: `answers` are not two or more texts, or the model gives none of them any
            probability.
        MemVRError: As `Engine.score` does, for instance where two answers are the same.
    """
    _check(answers, retries)
    if not retries:
        return _normalised(answers, engine.score(request, answers))
    # Not at the top: only those who retry need tenacity, which comes with the integrations.
    from memvr_integrations.wire.retries import score

    return _normalised(answers, score(engine, request, answers, retries))


async def ashares(
    engine: Engine, request: Request, answers: Sequence[str] = YES_NO, *, retries: int = 0
) -> list[float]:
    """`shares` for asyncio; concurrent calls share batches."""
    _check(answers, retries)
    if not retries:
        return _normalised(answers, await engine.ascore(request, answers))
    from memvr_integrations.wire.retries import ascore

    return _normalised(answers, await ascore(engine, request, answers, retries))


def _check(answers: Sequence[str], retries: int) -> None:
    check_integer("retries", retries, least=0)
    if isinstance(answers, str) or len(answers) < 2:
        raise RequestError(
            f"answers={answers!r} must be two or more different texts, as ('Yes', 'No'): a "
            "probability is shared out among them."
        )


def _normalised(answers: Sequence[str], logs: Sequence[float]) -> list[float]:
    most = max(logs)
    if most == -math.inf or any(map(math.isnan, logs)):
        raise RequestError(
            f"The model gives none of answers={list(answers)!r} any probability (logarithms "
            f"{list(logs)!r}), so it can't be shared out; give texts that it may begin its "
            "answer with."
        )
    weights = [math.exp(log - most) for log in logs]
    return [weight / sum(weights) for weight in weights]
