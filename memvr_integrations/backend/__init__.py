"""The shared backend: `Backend.load("bundled")` hosts a model, `generate` and `stream` ask it."""

from typing import TYPE_CHECKING

from memvr_integrations._lazy import lazily
from memvr_integrations.backend.hosting.catalog import CATALOG
from memvr_integrations.backend.hosting.catalog_row import CatalogRow
from memvr_integrations.types import (
    Box,
    Chunk,
    Completion,
    ContrastiveConfig,
    DecodingConfig,
    DoLaConfig,
    Engine,
    FLBConfig,
    ICDConfig,
    Identity,
    Image,
    ImagePolicy,
    Message,
    OPERAConfig,
    Request,
    RudderConfig,
    SamplingParams,
    Text,
    TokenRecord,
    Tool,
    ToolCall,
    ToolCallDelta,
    TopToken,
    Usage,
    VCDConfig,
    YesBiasConfig,
)

if TYPE_CHECKING:
    from memvr_integrations.backend.images.pages import pdf_pages
    from memvr_integrations.backend.serving.backend import Backend
    from memvr_integrations.backend.serving.queueing import QueueConfig
else:
    __getattr__ = lazily(
        __name__,
        {
            "Backend": "serving.backend",
            "QueueConfig": "serving.queueing",
            "pdf_pages": "images.pages",
        },
    )

__all__ = [
    "CATALOG",
    "Backend",
    "Box",
    "CatalogRow",
    "Chunk",
    "Completion",
    "ContrastiveConfig",
    "DecodingConfig",
    "DoLaConfig",
    "Engine",
    "FLBConfig",
    "ICDConfig",
    "Identity",
    "Image",
    "ImagePolicy",
    "Message",
    "OPERAConfig",
    "QueueConfig",
    "Request",
    "RudderConfig",
    "SamplingParams",
    "Text",
    "TokenRecord",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "TopToken",
    "Usage",
    "VCDConfig",
    "YesBiasConfig",
    "pdf_pages",
]
