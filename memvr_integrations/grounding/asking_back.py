"""Questions that ask the model back: is a thing in the picture, does it show what was answered."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.choice import ashares, shares
from memvr_integrations.grounding.nouns import singular
from memvr_integrations.types import Image, Message, Request
from memvr_integrations.types.engine import Engine

THING_PROMPT = "Is there a {thing} in the picture?"
"""Asks for one thing."""
RIGHT_PROMPT = (
    "Question: {query_str}\nAnswer: {response_str}\nDoes the picture show that this answer is "
    "right? Answer yes or no."
)
"""Asks whether an answer, `response_str`, to a question, `query_str`, is right."""
_AT_ONCE = 16
# Words that questions about pictures hold and no picture shows.
_NEVER_SEEN = frozenset(
    """
    picture pictures image images photo photos scene scenes many much number color colour kind
    show shows find see seen shown count look looks tell describe say says any
    one ones two three four five six seven eight nine ten first second last next near beside left
    right top bottom middle center behind front
    """.split()  # noqa: SIM905
)


def visible_things(words: Iterable[str]) -> list[str]:
    """Those of an English question's words that a picture may show, in the singular.

    `words` are in lower case, without such as "the" and "is".
    """
    seen = (word for word in words if word not in _NEVER_SEEN and not word.isdigit())
    return sorted({singular(word) for word in seen})


def relevance(probabilities: Sequence[float]) -> float:
    """How far a picture shows all of some things: the geometric mean of P(yes) for each."""
    logs = [math.log(max(one, 1e-9)) for one in probabilities]
    return math.exp(sum(logs) / len(logs))


def rightness(probabilities: Sequence[float]) -> float:
    """How right an answer is, from P(yes) by each picture: one is enough to bear it out."""
    return max(probabilities)


def shows_all(
    engine: Engine,
    request: Request,
    things: Sequence[str],
    *,
    prompt: str = THING_PROMPT,
    retries: int = 0,
) -> float:
    """How far a request's pictures show all of some things: their `relevance`, 0 to 1.

    `prompt`, with "{thing}" in it, is asked of each under the request's settings, in place of its
    messages; the pictures are read once, and all that is asked shares batches. `retries` are those
    of `shares`.

    Raises:
        RequestError: There is no thing, or no picture.
        MemVRError: As `shares` does.
    """
    return relevance(_each(engine, _about_things(engine, request, things, prompt), retries))


async def ashows_all(
    engine: Engine,
    request: Request,
    things: Sequence[str],
    *,
    prompt: str = THING_PROMPT,
    retries: int = 0,
) -> float:
    """`shows_all` for asyncio."""
    asked = await asyncio.to_thread(_about_things, engine, request, things, prompt)
    return relevance(await _aeach(engine, asked, retries))


def yes_by_image(engine: Engine, request: Request, prompt: str, *, retries: int = 0) -> list[float]:
    """P(yes) to a question by each of a request's pictures alone.

    `prompt` is asked under the request's settings, in place of its messages. With `RIGHT_PROMPT`,
    filled in, the `rightness` of these is how right an answer is. All that is asked shares batches.

    Raises:
        RequestError: There is no picture.
        MemVRError: As `shares` does.
    """
    return _each(engine, _by_image(request, prompt), retries)


async def ayes_by_image(
    engine: Engine, request: Request, prompt: str, *, retries: int = 0
) -> list[float]:
    """`yes_by_image` for asyncio."""
    return await _aeach(engine, _by_image(request, prompt), retries)


def _each(engine: Engine, asked: Sequence[Request], retries: int) -> list[float]:
    # An engine scores one request a call, and computes together what comes at once.
    with ThreadPoolExecutor(min(len(asked), _AT_ONCE)) as pool:
        shared = list(pool.map(lambda one: shares(engine, one, retries=retries), asked))
    return [yes for yes, _ in shared]


async def _aeach(engine: Engine, asked: Sequence[Request], retries: int) -> list[float]:
    shared = await asyncio.gather(*(ashares(engine, one, retries=retries) for one in asked))
    return [yes for yes, _ in shared]


def _about_things(
    engine: Engine, request: Request, things: Sequence[str], prompt: str
) -> list[Request]:
    if isinstance(things, str) or not things:
        raise RequestError(f"things={things!r} must be one or more words, as ['cow'].")
    # Not at the top: who asks about no picture needs neither NumPy nor Pillow.
    from memvr_integrations.backend.images.opened import opened

    policy = request.image_policy or engine.image_policy
    [shown] = opened([Message("user", _images(request))], policy)
    return [_asked(request, shown, prompt.replace("{thing}", thing)) for thing in things]


def _by_image(request: Request, prompt: str) -> list[Request]:
    return [_asked(request, Message("user", [image]), prompt) for image in _images(request)]


def _images(request: Request) -> Sequence[Image]:
    if not request.images:
        raise RequestError("The request holds no picture to ask about; give it an Image(...).")
    return request.images


def _asked(request: Request, shown: Message, question: str) -> Request:
    return replace(request, messages=(Message("user", [*shown.content, question]),))
