"""LangChain: `ChatMemVR(model="llava-1.5-7b")`, a local vision chat model that looks twice.

`memvr_integrations.langchain.decisions` holds `MemVRDecision`, where langchain-core has decisions.
"""

try:
    import langchain_core  # noqa: F401
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "memvr_integrations.langchain needs LangChain: pip install -e '.[langchain]' in a checkout."
    ) from missing

from memvr_integrations.errors import AbstentionError
from memvr_integrations.langchain.abstention import Abstention
from memvr_integrations.langchain.blocks import image_block
from memvr_integrations.langchain.chat import ChatMemVR

__all__ = ["Abstention", "AbstentionError", "ChatMemVR", "image_block"]
