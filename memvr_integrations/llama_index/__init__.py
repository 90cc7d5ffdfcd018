"""LlamaIndex over the shared backend: `MemVRMultiModalLLM` and its friends."""

from typing import TYPE_CHECKING

from memvr_integrations._lazy import lazily

try:
    import llama_index.core  # noqa: F401
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "memvr_integrations.llama_index needs LlamaIndex: "
        "pip install -e '.[llama-index]' in a checkout."
    ) from missing

if TYPE_CHECKING:
    from memvr_integrations.errors import AbstentionError
    from memvr_integrations.llama_index.asking.chat import ImageChatEngine
    from memvr_integrations.llama_index.asking.cited_images import Citation, Region, citations
    from memvr_integrations.llama_index.asking.evaluator import GroundingEvaluator
    from memvr_integrations.llama_index.asking.picture_asking import picture_tool
    from memvr_integrations.llama_index.asking.rerank import VisualRerank
    from memvr_integrations.llama_index.asking.synthesizer import ImageSynthesizer
    from memvr_integrations.llama_index.collection import ImageCollectionIndex
    from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
    from memvr_integrations.llama_index.llm.blocks import image_block
    from memvr_integrations.llama_index.store.captions import CaptionImages
    from memvr_integrations.llama_index.store.embedding import WordEmbedding
else:
    __getattr__ = lazily(
        __name__,
        {
            "AbstentionError": "asking.answers",
            "CaptionImages": "store.captions",
            "Citation": "asking.cited_images",
            "GroundingEvaluator": "asking.evaluator",
            "ImageChatEngine": "asking.chat",
            "ImageCollectionIndex": "collection",
            "ImageSynthesizer": "asking.synthesizer",
            "MemVRMultiModalLLM": "llm",
            "Region": "asking.cited_images",
            "VisualRerank": "asking.rerank",
            "WordEmbedding": "store.embedding",
            "citations": "asking.cited_images",
            "image_block": "llm.blocks",
            "picture_tool": "asking.picture_asking",
        },
    )

__all__ = [
    "AbstentionError",
    "CaptionImages",
    "Citation",
    "GroundingEvaluator",
    "ImageChatEngine",
    "ImageCollectionIndex",
    "ImageSynthesizer",
    "MemVRMultiModalLLM",
    "Region",
    "VisualRerank",
    "WordEmbedding",
    "citations",
    "image_block",
    "picture_tool",
]
