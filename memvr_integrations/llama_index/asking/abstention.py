"""Answers about images that are withheld when the model was too unsure of them."""

from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import RESPONSE_TYPE, Response
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import QueryBundle

from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.citing import marks
from memvr_integrations.llama_index.llm.checks import (
    check_kind,
    check_share,
    check_text,
    knows_its_options,
)

CANNOT_TELL = "I can't tell from these images."


class AbstainWhenUnsure(BaseQueryEngine):
    """Asks a query engine, and withholds what the model was too unsure of.

    How unsure it was is the `unsureness` of each record in `response.metadata["memvr"]`, 0 to 1.
    An answer above `threshold` is left out; when none is left, `answer` takes their place. The
    metadata's `withheld` holds what would have been said, and `abstained` tells whether nothing
    was left.
    """

    @knows_its_options
    def __init__(
        self, query_engine: BaseQueryEngine, *, threshold: float, answer: str = CANNOT_TELL
    ) -> None:
        """`query_engine` is one of `ImageCollectionIndex.as_query_engine`, without streaming.

        Raises:
            ConfigError: `threshold` is outside 0 to 1, or it is no query engine.
        """
        check_kind("query_engine", query_engine, BaseQueryEngine, "index.as_query_engine()")
        check_share("threshold", threshold)
        check_text("answer", answer)
        self._query_engine, self._threshold, self._answer = query_engine, threshold, answer
        super().__init__(callback_manager=query_engine.callback_manager)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {"query_engine": self._query_engine}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return self._judged(self._query_engine.query(query_bundle))

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return self._judged(await self._query_engine.aquery(query_bundle))

    def _judged(self, response: RESPONSE_TYPE) -> Response:
        if not isinstance(response, Response):
            raise RequestError(
                f"AbstainWhenUnsure got a {type(response).__name__}: what was told can't be "
                "withheld. Give it a query engine without streaming."
            )
        told: dict[str, Any] = response.metadata or {}
        if not response.source_nodes:  # nothing was found, and nothing was answered
            response.metadata = told | {"withheld": [], "abstained": False}
            return response
        records = told.get("memvr") or []
        if not records or None in records:
            raise RequestError(
                "The query engine's answer doesn't say how unsure the model was "
                '(metadata["memvr"]); give one of ImageCollectionIndex.as_query_engine.'
            )
        unsure = [record["unsureness"] > self._threshold for record in records]
        answers = list(enumerate(told["answers"], start=1))
        judged = list(zip(answers, unsure, strict=True))
        withheld = [text for (_, text), doubted in judged if doubted]
        metadata = told | {"withheld": withheld, "abstained": all(unsure)}
        text = response.response
        if all(unsure):
            text = self._answer
        elif withheld:
            kept = [answer for answer, doubted in judged if not doubted]
            text = "\n".join(f"{line} {marks([n])}" for n, line in kept)
        return Response(text, source_nodes=response.source_nodes, metadata=metadata)
