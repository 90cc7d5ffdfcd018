"""LlamaIndex over the shared backend: `MemVRMultiModalLLM` and its friends."""

try:
    import llama_index.core  # noqa: F401
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "memvr_integrations.llama_index needs LlamaIndex: "
        "pip install 'memvr-integrations[llama-index]' "
        "(in a checkout: pip install -e '.[llama-index]')."
    ) from missing

from memvr_integrations.llama_index.asking.abstention import AbstainWhenUnsure
from memvr_integrations.llama_index.asking.chat import ImageChatEngine
from memvr_integrations.llama_index.asking.cited_images import Citation, citations
from memvr_integrations.llama_index.asking.evaluator import GroundingEvaluator
from memvr_integrations.llama_index.asking.rerank import VisualRerank
from memvr_integrations.llama_index.asking.synthesizer import ImageSynthesizer
from memvr_integrations.llama_index.collection import ImageCollectionIndex
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.llm.blocks import image_block
from memvr_integrations.llama_index.store.captions import CaptionImages
from memvr_integrations.llama_index.store.embedding import WordEmbedding

__all__ = [
    "AbstainWhenUnsure",
    "CaptionImages",
    "Citation",
    "GroundingEvaluator",
    "ImageChatEngine",
    "ImageCollectionIndex",
    "ImageSynthesizer",
    "MemVRMultiModalLLM",
    "VisualRerank",
    "WordEmbedding",
    "citations",
    "image_block",
]
