"""LangChain: `ChatMemVR(model="llava-1.5-7b")`, a local vision chat model that looks twice.

`MemVRDecision` needs a langchain-core that has decisions (1.8 or later).
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from memvr_integrations._lazy import lazily

try:
    import langchain_core  # noqa: F401
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "memvr_integrations.langchain needs LangChain: pip install -e '.[langchain]' in a checkout."
    ) from missing

from memvr_integrations.errors import AbstentionError
from memvr_integrations.langchain.blocks import image_block
from memvr_integrations.langchain.chat import ChatMemVR
from memvr_integrations.langchain.picture_asking import picture_tool

if TYPE_CHECKING:
    from memvr_integrations.langchain.collections.chain import (
        PictureAnswer,
        create_picture_retrieval_chain,
    )
    from memvr_integrations.langchain.collections.embedding import WordEmbeddings
    from memvr_integrations.langchain.collections.loader import ImageLoader
    from memvr_integrations.langchain.collections.prompting import pictures_prompt
    from memvr_integrations.langchain.collections.relevance import PictureRelevance
    from memvr_integrations.langchain.collections.retriever import PictureRetriever
    from memvr_integrations.langchain.collections.tool import create_picture_retriever_tool
    from memvr_integrations.langchain.decisions import MemVRDecision

__all__ = [
    "AbstentionError",
    "ChatMemVR",
    "ImageLoader",
    "MemVRDecision",
    "PictureAnswer",
    "PictureRelevance",
    "PictureRetriever",
    "WordEmbeddings",
    "create_picture_retrieval_chain",
    "create_picture_retriever_tool",
    "image_block",
    "picture_tool",
    "pictures_prompt",
]

_HOMES = {
    "ImageLoader": "collections.loader",
    "PictureAnswer": "collections.chain",
    "PictureRelevance": "collections.relevance",
    "PictureRetriever": "collections.retriever",
    "WordEmbeddings": "collections.embedding",
    "create_picture_retrieval_chain": "collections.chain",
    "create_picture_retriever_tool": "collections.tool",
    "pictures_prompt": "collections.prompting",
}

# Below core's floor for decisions the rest works, `import *` and `hasattr` too; a type checker
# reads the whole list.
if not TYPE_CHECKING:
    if find_spec("langchain_core.decisions"):
        __getattr__ = lazily(__name__, _HOMES | {"MemVRDecision": "decisions"})
    else:
        __all__.remove("MemVRDecision")
        _found = lazily(__name__, _HOMES)

        def __getattr__(name: str) -> object:
            if name in _HOMES:
                return _found(name)
            why = "; it needs langchain-core 1.8 or later" if name == "MemVRDecision" else ""
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{why}")
