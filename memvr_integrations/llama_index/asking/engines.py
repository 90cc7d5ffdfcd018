"""The ways to ask a collection of images: retriever, query engine, chat engine."""

from collections.abc import Callable, Sequence

from llama_index.core.llms import LLM
from llama_index.core.memory import BaseMemory
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.vector_stores import MetadataFilters

from memvr_integrations.checks import check_integer, check_kind
from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding.collections.fusion import VECTORS, WORDS
from memvr_integrations.llama_index.asking.chat import ImageChatEngine, refers_back
from memvr_integrations.llama_index.asking.rerank import VisualRerank
from memvr_integrations.llama_index.asking.synthesizer import ImageSynthesizer, Mode, Overflow
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.llm.checks import check_llm, knows_its_options
from memvr_integrations.llama_index.store.retriever import ImageRetriever
from memvr_integrations.llama_index.store.shelf import Shelf


class SearchableImages:
    """Images with captions that were embedded; `ImageCollectionIndex` takes them in."""

    llm: LLM
    _shelf: Shelf

    @knows_its_options
    def as_retriever(
        self,
        *,
        similarity_top_k: int = 4,
        filters: MetadataFilters | None = None,
        word_weight: float = WORDS,
        vector_weight: float = VECTORS,
    ) -> ImageRetriever:
        """Finds images by a question, or by another image (`QueryBundle(image_path=...)`).

        Words count `word_weight` and vectors `vector_weight`; raise the latter with an embedding
        that is better than the word vectors it was measured with.
        """
        return ImageRetriever(
            self._shelf,
            similarity_top_k=similarity_top_k,
            filters=filters,
            word_weight=word_weight,
            vector_weight=vector_weight,
        )

    @knows_its_options
    def as_query_engine(
        self,
        *,
        llm: LLM | None = None,
        similarity_top_k: int = 8,
        rerank_top_n: int | None = 1,
        filters: MetadataFilters | None = None,
        node_postprocessors: Sequence[BaseNodePostprocessor] = (),
        mode: Mode = "each",
        overflow: Overflow = "error",
        streaming: bool = False,
    ) -> RetrieverQueryEngine:
        """Answers questions from the images, and cites them as `[n]`.

        The `similarity_top_k` images whose captions are nearest are sorted by what the model sees
        in them, and the first `rerank_top_n` are asked about, alone or together: see
        `ImageSynthesizer`. Without sorting (None), all are. `llm` answers, or the one that wrote
        the captions. `citations(response)` says what the numbers stand for. Where nothing is
        found, it says so and asks no model.

        Raises:
            ConfigError: An option is out of range, or the LLM can't sort.
        """
        llm = llm or self.llm
        postprocessors = _postprocessors(llm, node_postprocessors, rerank_top_n)
        return RetrieverQueryEngine(
            self.as_retriever(similarity_top_k=similarity_top_k, filters=filters),
            ImageSynthesizer(llm=llm, mode=mode, overflow=overflow, streaming=streaming),
            postprocessors,
        )

    @knows_its_options
    def as_chat_engine(
        self,
        *,
        llm: LLM | None = None,
        similarity_top_k: int = 8,
        rerank_top_n: int | None = 1,
        filters: MetadataFilters | None = None,
        node_postprocessors: Sequence[BaseNodePostprocessor] = (),
        mode: Mode = "each",
        overflow: Overflow = "error",
        memory: BaseMemory | None = None,
        system_prompt: str | None = None,
        follows_up: Callable[[str], bool] = refers_back,
    ) -> ImageChatEngine:
        """A conversation about the images, with memory and citations.

        A message that `follows_up` what was said is about the images of the answer before.

        Raises:
            ConfigError: An option is out of range, or the LLM can't sort.
        """
        llm = llm or self.llm
        return ImageChatEngine(
            self.as_retriever(similarity_top_k=similarity_top_k, filters=filters),
            llm=llm,
            memory=memory,
            system_prompt=system_prompt,
            node_postprocessors=_postprocessors(llm, node_postprocessors, rerank_top_n),
            mode=mode,
            overflow=overflow,
            follows_up=follows_up,
        )


def _postprocessors(
    llm: LLM, given: Sequence[BaseNodePostprocessor], top_n: int | None
) -> list[BaseNodePostprocessor]:
    check_llm(llm)
    check_kind("node_postprocessors", given, Sequence, "a list: [VisualRerank(...)]")
    for one in given:
        check_kind("A part of node_postprocessors", one, BaseNodePostprocessor, "VisualRerank(...)")
    if top_n is None:
        return list(given)
    check_integer("rerank_top_n", top_n, least=1)
    if not isinstance(llm, MemVRMultiModalLLM):
        raise ConfigError(
            f"A {type(llm).__name__} gives no probabilities to sort images by; pass "
            "rerank_top_n=None, and as many similarity_top_k as it shall be shown."
        )
    return [*given, VisualRerank(llm=llm, top_n=top_n)]
