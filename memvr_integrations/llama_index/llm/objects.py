"""What `as_structured_llm` gives: it passes images on, and refuses options that don't exist."""

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import CompletionResponse
from llama_index.core.llms.structured_llm import StructuredLLM

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm.blocks import ImageDocument
from memvr_integrations.llama_index.llm.checks import CheckedComponent


class ObjectLLM(CheckedComponent, StructuredLLM):
    """An LLM whose every answer is an object of one class; images as `complete` takes them."""

    def complete(
        self, prompt: str, formatted: Sequence[ImageDocument] | bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """An object, as JSON and in `raw`, about images: the second argument, or by name."""
        answer: CompletionResponse = super().complete(prompt, **_with_images(formatted, kwargs))
        return answer

    async def acomplete(
        self, prompt: str, formatted: Sequence[ImageDocument] | bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """`complete` for asyncio."""
        given = _with_images(formatted, kwargs)
        answer: CompletionResponse = await super().acomplete(prompt, **given)
        return answer


def _with_images(
    formatted: Sequence[ImageDocument] | bool, options: dict[str, Any]
) -> dict[str, Any]:
    """Core's `formatted` stands where `MemVRMultiModalLLM.complete` takes images."""
    if isinstance(formatted, bool):
        return options
    if "image_documents" in options:
        raise RequestError("Give the images once: as the second argument or as image_documents.")
    return {**options, "image_documents": formatted}
