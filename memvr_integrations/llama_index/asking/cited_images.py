"""The images that a response cites, and what can be opened for each."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.chat_engine.types import AgentChatResponse, StreamingAgentChatResponse
from llama_index.core.schema import BaseNode

from memvr_integrations.backend.images import page_of
from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.citing import cited_numbers
from memvr_integrations.llama_index.llm.base import AnsweringLLM
from memvr_integrations.llama_index.llm.blocks import address_of

if TYPE_CHECKING:
    from memvr_integrations.explain import ExplainConfig, Explanation


@dataclass(frozen=True, kw_only=True)
class Region:
    """Where in a cited image the answer to a question came from.

    `box` is left, top, right, bottom in the image's pixels, as the map points: "around here".
    `agreement` is a second method's, from 0 to 1, .5 by chance; None without one. `explanation`
    has the map, and the answer from this image alone.
    """

    box: tuple[float, float, float, float]
    agreement: float | None
    explanation: "Explanation"


@dataclass(frozen=True, kw_only=True)
class Citation:
    """What `[n]` in an answer stands for.

    `node_id` is the same for the same place, always; `source` is the image's path or URL, of a
    page "report.pdf#page=3"; `score` is that of the retriever, or of the last reranker.
    """

    n: int
    node_id: str
    source: str
    caption: str
    score: float | None
    node: BaseNode = field(repr=False, compare=False)

    @property
    def page(self) -> int | None:
        """Which page of a PDF it is, from 1 on; None for other images."""
        page = page_of(self.source)
        return page[1] if page else None

    def region(
        self, llm: AnsweringLLM, question: str, *, config: "ExplainConfig | None" = None
    ) -> Region | None:
        """Where in the image the answer to a question came from; nothing is computed before.

        The model is asked about this image alone. None where its map is flat, or a second method
        disagrees with it.

        Raises:
            UnsupportedModelError: The model can't be explained.
        """
        explanation = llm.explain([ChatMessage(question)], [self.node], config=config)
        return _region(explanation)

    async def aregion(
        self, llm: AnsweringLLM, question: str, *, config: "ExplainConfig | None" = None
    ) -> Region | None:
        """`region` for asyncio; cancelling the task stops the computing."""
        explanation = await llm.aexplain([ChatMessage(question)], [self.node], config=config)
        return _region(explanation)


def citations(
    response: RESPONSE_TYPE | AgentChatResponse | StreamingAgentChatResponse,
) -> list[Citation]:
    """The images that an answer cites, in the order of its numbers; none where it cites none.

    Raises:
        RequestError: It is the stream of a chat, and was not read to its end.
    """
    if isinstance(response, StreamingAgentChatResponse) and not response.is_done:
        raise RequestError("This stream was not read to its end; its citations come after that.")
    cited = cited_numbers(str(response))
    return [
        Citation(
            n=n,
            node_id=found.node.node_id,
            source=address_of(found.node) or found.node.metadata.get("file_path", ""),
            caption=found.node.get_content(),
            score=found.score,
            node=found.node,
        )
        for n, found in enumerate(response.source_nodes, start=1)
        if n in cited
    ]


def _region(explanation: "Explanation") -> Region | None:
    box = explanation.box()
    if box is None:
        return None
    return Region(box=box, agreement=explanation.agreement(), explanation=explanation)
