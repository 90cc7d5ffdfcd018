"""What all ways to make an `ImageCollectionIndex` take, checked."""

from pathlib import Path
from tempfile import mkdtemp
from typing import TypedDict

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from memvr_integrations.checks import check_integer, check_kind, check_text
from memvr_integrations.errors import ConfigError


class Options(TypedDict, total=False):
    """The options beside where the images come from."""

    llm: LLM | None
    embed_model: BaseEmbedding | None
    vector_store: BasePydanticVectorStore | None
    caption_prompt: str
    batch_size: int
    show_progress: bool


def check_given(
    *,
    llm: LLM | None,
    embed_model: BaseEmbedding | None,
    vector_store: BasePydanticVectorStore | None,
    caption_prompt: str,
    batch_size: int,
) -> None:
    """Refuse what no collection can be made with.

    Raises:
        ConfigError: An option is of another kind or outside its limits.
    """
    check_kind("llm", llm, LLM | None, "MemVRMultiModalLLM(model=...), or None")
    check_kind("embed_model", embed_model, BaseEmbedding | None, "WordEmbedding(), or None")
    check_kind(
        "vector_store", vector_store, BasePydanticVectorStore | None, "QdrantVectorStore(...)"
    )
    if getattr(vector_store, "_aclient", None) and not getattr(vector_store, "_client", None):
        raise ConfigError(
            f"The {type(vector_store).__name__} has a client for asyncio alone; give it one for "
            "ordinary calls too (client=...)."
        )
    check_text("caption_prompt", caption_prompt)
    check_integer("batch_size", batch_size, least=1)


def folder_of(persist_dir: str | Path | None) -> Path:
    """The folder that a collection is kept in, made where it is missing.

    Raises:
        ConfigError: It can't be made.
    """
    check_kind("persist_dir", persist_dir, str | Path | None, "a folder of its own, or None")
    folder = Path(persist_dir or mkdtemp(prefix="memvr-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigError(
            f"persist_dir={str(folder)!r} can't be made: {problem}; give a folder of its own."
        ) from problem
    return folder
