"""Whether an answer is what its images show, as the model itself sees it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.response.schema import (
    RESPONSE_TYPE,
    AsyncStreamingResponse,
    StreamingResponse,
)
from llama_index.core.evaluation import BaseEvaluator, EvaluationResult
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.prompts.mixin import PromptDictType

from memvr_integrations.checks import check_kind, check_number, check_options
from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.asking_back import RIGHT_PROMPT, ayes_by_image, rightness
from memvr_integrations.grounding.citing import unmarked
from memvr_integrations.llama_index.asking.cited_images import citations
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.llm.blocks import ImageDocument, is_image
from memvr_integrations.llama_index.llm.checks import knows_its_options
from memvr_integrations.llama_index.llm.messages import question
from memvr_integrations.wire.blocking import wait_for

GROUNDING_TEMPLATE = PromptTemplate(RIGHT_PROMPT)
_OPTIONS = ("query", "response", "contexts", "images", "reference", "sleep_time_in_seconds")


class GroundingEvaluator(BaseEvaluator):
    """P(yes) that an answer is right for its images, from the logits.

    The images come out of a response's source nodes: those that it cites, or all where it cites
    none. The score is the highest of them, for one image is enough to bear an answer out; it
    passes from `threshold` on. Works in core's `BatchEvalRunner`.
    """

    @knows_its_options
    def __init__(
        self,
        llm: MemVRMultiModalLLM,
        *,
        threshold: float = 0.5,
        template: BasePromptTemplate = GROUNDING_TEMPLATE,
    ) -> None:
        """`template` holds {query_str} and {response_str}, and asks for yes or no.

        Raises:
            ConfigError: `threshold` is outside 0 to 1, or something is of another kind.
        """
        check_kind("llm", llm, MemVRMultiModalLLM, "MemVRMultiModalLLM(model=...)")
        check_number("threshold", threshold, most=1)
        check_kind("template", template, BasePromptTemplate, "PromptTemplate(...)")
        self._llm, self._threshold, self._template = llm, threshold, template

    def _get_prompts(self) -> PromptDictType:
        return {"template": self._template}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        self._template = prompts.get("template", self._template)

    def evaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """`aevaluate` from ordinary code."""
        return wait_for(self.aevaluate(query, response, contexts, **kwargs))

    def evaluate_response(
        self, query: str | None = None, response: RESPONSE_TYPE | None = None, **kwargs: Any
    ) -> EvaluationResult:
        """`aevaluate_response` from ordinary code."""
        return wait_for(self.aevaluate_response(query, response, **kwargs))

    async def aevaluate_response(
        self, query: str | None = None, response: RESPONSE_TYPE | None = None, **kwargs: Any
    ) -> EvaluationResult:
        """Judge a query engine's response by the images that it rests on.

        Where it has an answer for each image, each is judged by its own, and the worst counts. One
        that rests on no image is an invalid result.
        """
        if response is None or query is None:
            raise RequestError("GroundingEvaluator needs query= and response=.")
        if isinstance(response, AsyncStreamingResponse):
            response = await response.get_response()
        if isinstance(response, StreamingResponse):  # at its end the answers are known one by one
            response = await asyncio.to_thread(response.get_response)
        images = [found.node for found in response.source_nodes if is_image(found.node)]
        if not images:
            return EvaluationResult(
                query=query,
                response=str(response),
                invalid_result=True,
                invalid_reason="It rests on no image.",
            )
        answers = (response.metadata or {}).get("answers") or []
        if len(answers) > 1 and len(answers) == len(images):  # one for each image
            judged = [
                await self.aevaluate(query, answer, images=[image], **kwargs)
                for answer, image in zip(answers, images, strict=True)
            ]
            least = min(judged, key=lambda result: result.score or 0)
            return least.model_copy(update={"response": str(response)})
        cited = {citation.node_id for citation in citations(response)}
        images = [image for image in images if image.node_id in cited] or images
        return await self.aevaluate(query, str(response), images=images, **kwargs)

    async def aevaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        sleep_time_in_seconds: int = 0,
        images: Sequence[ImageDocument] = (),
        reference: str | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Judge an answer by some images.

        `contexts` and `reference`, which are texts for core's evaluators, are not read.

        Raises:
            ConfigError: There is no such option.
            RequestError: There is no question, no answer or no image.
        """
        check_options("GroundingEvaluator.evaluate", kwargs, _OPTIONS)
        await asyncio.sleep(sleep_time_in_seconds)
        if query is None or response is None or not images:
            raise RequestError(
                "GroundingEvaluator needs a question, an answer and images: give query=, response= "
                "and images=, or evaluate_response(query=, response=) with image source nodes."
            )
        asked = self._template.format(query_str=query, response_str=unmarked(response))
        request = self._llm._request(question("", images), {})
        engine, retries = await self._llm._aengine({}), self._llm.max_retries
        shares = await ayes_by_image(engine, request, asked, retries=retries)
        score = rightness(shares)
        return EvaluationResult(
            query=query,
            response=response,
            contexts=contexts,
            passing=score >= self._threshold,
            score=score,
            feedback=f"P(yes) for each image: {', '.join(f'{share:.3f}' for share in shares)}",
        )
