"""The shared backend: `Backend.load("bundled")` hosts a model, `generate` and `stream` ask it."""

from memvr_integrations.backend.hosting.catalog import CATALOG
from memvr_integrations.backend.hosting.catalog_row import CatalogRow
from memvr_integrations.backend.hosting.loading import LoadConfig
from memvr_integrations.backend.serving.engine import Backend
from memvr_integrations.backend.serving.worker import QueueConfig
from memvr_integrations.types import (
    Box,
    Chunk,
    Completion,
    Image,
    Message,
    Request,
    SamplingParams,
    Text,
    TokenRecord,
    Usage,
)
from memvr_integrations.types.decoding import (
    ContrastiveConfig,
    DecodingConfig,
    DoLaConfig,
    FLBConfig,
    ICDConfig,
    OPERAConfig,
    RudderConfig,
    VCDConfig,
    YesBiasConfig,
)
from memvr_integrations.types.engine import Engine
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.types.tools import Tool, ToolCall, ToolCallDelta

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
    "Image",
    "ImagePolicy",
    "LoadConfig",
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
    "Usage",
    "VCDConfig",
    "YesBiasConfig",
]
