"""The shared backend: `Backend.load("bundled")` hosts a model, `generate` and `stream` ask it."""

from memvr_integrations.backend.catalog import CATALOG
from memvr_integrations.backend.catalog_row import CatalogRow
from memvr_integrations.backend.engine import Backend
from memvr_integrations.backend.loading import LoadConfig
from memvr_integrations.backend.protocol import Engine
from memvr_integrations.backend.worker import QueueConfig
from memvr_integrations.policy import ImagePolicy
from memvr_integrations.strategies import (
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
from memvr_integrations.tools import Tool, ToolCall, ToolCallDelta
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
