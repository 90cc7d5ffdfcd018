"""Sorts found images by what the model says is in each of them."""

import asyncio
from collections.abc import Callable, Sequence

from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.asking_back import THING_PROMPT
from memvr_integrations.grounding.collections.relevance import named_things, relevance_of
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.llm.blocks import is_image, source_of_node
from memvr_integrations.llama_index.llm.checks import CheckedComponent
from memvr_integrations.wire.blocking import wait_for

dispatcher = get_dispatcher(__name__)


class VisualRerank(CheckedComponent, BaseNodePostprocessor):
    """Keeps the `top_n` images that show most of what a question names, as the model sees it.

    For each of the `things(question)`, or of its `custom_embedding_strs`, the model is asked
    `prompt`; a node's score becomes the geometric mean of P(yes), from the logits. All of it runs
    in shared batches. A question that names nothing leaves the order as it is.
    `keep_retrieval_score` keeps the score that a node had in its metadata, as "retrieval_score".
    Nodes without an image come after those with one.
    """

    llm: MemVRMultiModalLLM
    top_n: int = Field(default=4, ge=1)
    prompt: str = THING_PROMPT
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
        source = source_of_node(node.node)
        return await relevance_of(self.llm, source, things, prompt=self.prompt)

    def _scored(self, node: NodeWithScore, share: float) -> NodeWithScore:
        inner = node.node
        if self.keep_retrieval_score:
            inner = inner.model_copy(
                update={"metadata": inner.metadata | {"retrieval_score": node.score}}
            )
        return NodeWithScore(node=inner, score=share)
