"""MemVR for LangChain and LlamaIndex: a frozen multimodal model that looks twice.

Nothing heavy is imported here. Start from `memvr_integrations.backend` (host a model and
ask it), or from `memvr_integrations.memvr` (the algorithm alone, torch only).
"""

import logging

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())
