"""Sorts found images by what the model, looking at each of them, says is there."""

import asyncio
import functools
import math
from collections.abc import Callable, Sequence

import inflect
from llama_index.core.indices.keyword_table.utils import simple_extract_keywords
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.llm.blocking import wait_for
from memvr_integrations.llama_index.llm.blocks import is_image
from memvr_integrations.llama_index.llm.checks import KnownOptions

dispatcher = get_dispatcher(__name__)

RERANK_PROMPT = "Is there a {thing} in the picture?"
_NO_PLURALS = ("ss", "us", "is", "as")  # bus, iris, gas: their s belongs to them
# Words that questions about pictures hold and no picture shows.
_NEVER_SEEN = frozenset(
    """
    picture pictures image images photo photos scene scenes many much number color colour kind
    show shows find see seen shown count look looks tell describe say says any
    one ones two three four five six seven eight nine ten first second last next near beside left
    right top bottom middle center behind front
    """.split()  # noqa: SIM905
)


def named_things(question: str) -> list[str]:
    """The words of an English question that a picture may show, in the singular."""
    words = simple_extract_keywords(question) - _NEVER_SEEN
    return sorted({_singular(word) for word in words if not word.isdigit()})


def _singular(word: str) -> str:
    if word.endswith(_NO_PLURALS):
        return word
    return _english().singular_noun(word) or word


@functools.cache
def _english() -> inflect.engine:
    return inflect.engine()


class VisualRerank(KnownOptions, BaseNodePostprocessor):
    """Keeps the `top_n` images that show most of what a question names, by the model's own eyes.

    For each of the `things(question)`, or of its `custom_embedding_strs`, the model is asked
    `prompt`; a node's score becomes the geometric mean of P(yes), from the logits. All of it runs
    in shared batches. A question that names nothing leaves the order as it is.
    `keep_retrieval_score` keeps the score that a node had in its metadata, as "retrieval_score".
    Nodes without an image stay behind those with one.
    """

    llm: MemVRMultiModalLLM
    top_n: int = Field(default=4, ge=1)
    prompt: str = RERANK_PROMPT
    things: Callable[[str], Sequence[str]] = named_things
    keep_retrieval_score: bool = False

    @classmethod
    def class_name(cls) -> str:
        """Its name in what is written to disk."""
        return "memvr_visual_rerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return wait_for(self._apostprocess_nodes(nodes, query_bundle=query_bundle))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise RequestError("VisualRerank needs the question: give query_str= or query_bundle=.")
        name = self.llm.metadata.model_name
        dispatcher.event(
            ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=self.top_n, model_name=name)
        )
        things = list(self.things(" ".join(query_bundle.embedding_strs)))
        images = [node for node in nodes if is_image(node.node)]
        others = [node for node in nodes if not is_image(node.node)]
        if things:
            shares = await asyncio.gather(*(self._share(node, things) for node in images))
            images = [self._scored(n, share) for n, share in zip(images, shares, strict=True)]
            images.sort(key=lambda node: -node.get_score())
        found = [*images, *others][: self.top_n]
        dispatcher.event(ReRankEndEvent(nodes=found))
        return found

    async def _share(self, node: NodeWithScore, things: Sequence[str]) -> float:
        questions = (self.prompt.replace("{thing}", thing) for thing in things)
        shares = await asyncio.gather(
            *(self.llm.aprobability(question, [node.node]) for question in questions)
        )
        return math.exp(sum(math.log(max(share, 1e-9)) for share in shares) / len(shares))

    def _scored(self, node: NodeWithScore, share: float) -> NodeWithScore:
        inner = node.node
        if self.keep_retrieval_score:
            inner = inner.model_copy(
                update={"metadata": inner.metadata | {"retrieval_score": node.score}}
            )
        return NodeWithScore(node=inner, score=share)
