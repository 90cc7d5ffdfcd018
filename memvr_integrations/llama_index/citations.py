"""Which images an answer rests on: `[n]` in its text, and what can be opened for each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.schema import ImageNode, NodeWithScore

_MARK = re.compile(r" ?\[(\d{1,3})\]")
_OPEN = re.compile(r" ?(\[\d{0,3})?$")


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


def citations(response: RESPONSE_TYPE | AgentChatResponse) -> list[Citation]:
    """The images that an answer cites, in the order of its numbers; none where it cites none.

    A stream has to be read to its end before.
    """
    cited = {int(n) for n in _MARK.findall(str(response))}
    sources = enumerate(response.source_nodes, start=1)
    return [_citation(n, source) for n, source in sources if n in cited]


def _citation(n: int, found: NodeWithScore) -> Citation:
    node = found.node
    source = node.metadata.get("file_path", "")
    if isinstance(node, ImageNode):
        source = node.image_path or node.image_url or source
    return Citation(
        n=n, node_id=node.node_id, source=source, caption=node.get_content(), score=found.score
    )


class Marks:
    """Reads a growing answer, and takes marks out of it that stand for nothing.

    A model that cites nothing is made to: all of the `shown` images, for it looked at them.
    """

    def __init__(self, shown: int) -> None:
        self._shown, self._kept, self._cited = shown, "", False

    def read(self, delta: str) -> str:
        """What may be given out after some more text; the begin of a mark waits for its end."""
        text = _MARK.sub(self._checked, self._kept + delta)
        opened = _OPEN.search(text)
        end = opened.start() if opened else len(text)
        self._kept = text[end:]
        return text[:end]

    def _checked(self, mark: re.Match[str]) -> str:
        if not 1 <= int(mark[1]) <= self._shown:
            return ""
        self._cited = True
        return mark[0]

    def finish(self) -> str:
        """The rest of the text."""
        if self._cited:
            return self._kept.rstrip()
        return self._kept.rstrip() + " " + marks(range(1, self._shown + 1))


def marks(numbers: Sequence[int]) -> str:
    """The marks of some images."""
    return "".join(f"[{n}]" for n in numbers)
