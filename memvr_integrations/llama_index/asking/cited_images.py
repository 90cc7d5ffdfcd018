"""The images that a response cites, and what can be opened for each."""

from dataclasses import dataclass

from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.chat_engine.types import AgentChatResponse, StreamingAgentChatResponse

from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.citing import cited_numbers
from memvr_integrations.llama_index.llm.blocks import address_of


@dataclass(frozen=True, kw_only=True)
class Citation:
    """What `[n]` in an answer stands for.

    `node_id` is the same for the same place, always; `source` is the image's path or URL; `score`
    is that of the retriever, or of the last reranker.
    """

    n: int
    node_id: str
    source: str
    caption: str
    score: float | None


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
        )
        for n, found in enumerate(response.source_nodes, start=1)
        if n in cited
    ]
