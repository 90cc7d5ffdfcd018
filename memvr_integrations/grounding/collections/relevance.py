"""Does a picture show what a question is about: what both integrations sort by."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memvr_integrations.grounding.asking_back import THING_PROMPT, ashows_all, visible_things
from memvr_integrations.grounding.collections.keywords import keywords
from memvr_integrations.types import Image, Message
from memvr_integrations.wire.options import ModelOptions

if TYPE_CHECKING:
    from memvr_integrations.backend.images import ImageSource


def named_things(question: str) -> list[str]:
    """The words of an English question that a picture may show, in the singular."""
    return visible_things(keywords(question))


async def relevance_of(
    model: ModelOptions, source: "ImageSource", things: Sequence[str], *, prompt: str = THING_PROMPT
) -> float:
    """How far a picture shows all of some things, as a model of an integration sees it, 0 to 1.

    Raises:
        MemVRError: As `ashows_all` does.
    """
    request = model._to_request([Message("user", [Image(source), ""])], {})
    engine = await model._aengine({})
    return await ashows_all(engine, request, things, prompt=prompt, retries=model.max_retries)
