"""The model's own probabilities of some answers beside each other, such as P(yes)."""

import math
from collections.abc import Sequence

from memvr_integrations.errors import RequestError
from memvr_integrations.types import Request
from memvr_integrations.types.engine import Engine

YES_NO = ("Yes", "No")
"""The answers of a yes/no question; P(yes) is the first one's share."""


def shares(engine: Engine, request: Request, answers: Sequence[str] = YES_NO) -> list[float]:
    """What each answer has of the probability of all of them: numbers from 0 to 1, summing to 1.

    Raises:
        RequestError: `answers` are not two or more texts.
        MemVRError: As `Engine.score` does, for instance where two answers are the same.
    """
    _check(answers)
    return _normalised(engine.score(request, answers))


async def ashares(engine: Engine, request: Request, answers: Sequence[str] = YES_NO) -> list[float]:
    """`shares` for asyncio; concurrent calls share batches."""
    _check(answers)
    return _normalised(await engine.ascore(request, answers))


def _check(answers: Sequence[str]) -> None:
    if isinstance(answers, str) or len(answers) < 2:
        raise RequestError(
            f"answers={answers!r} must be two or more different texts, as ('Yes', 'No'): a "
            "probability is shared out among them."
        )


def _normalised(logs: Sequence[float]) -> list[float]:
    most = max(logs)
    weights = [math.exp(log - most) for log in logs]
    return [weight / sum(weights) for weight in weights]
