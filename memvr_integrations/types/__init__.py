"""What goes into an engine and what comes out; nothing here needs torch."""

from memvr_integrations.types.answers import (
    Box,
    Chunk,
    Completion,
    FinishReason,
    TokenRecord,
    TopToken,
    Usage,
)
from memvr_integrations.types.decoding import (
    STRATEGIES,
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
from memvr_integrations.types.engine import Engine, Identity
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.types.requests import (
    Image,
    Message,
    ReadImage,
    Request,
    Role,
    SamplingParams,
    Text,
)
from memvr_integrations.types.tools import JsonSchema, Tool, ToolCall, ToolCallDelta

__all__ = [
    "STRATEGIES",
    "Box",
    "Chunk",
    "Completion",
    "ContrastiveConfig",
    "DecodingConfig",
    "DoLaConfig",
    "Engine",
    "FLBConfig",
    "FinishReason",
    "ICDConfig",
    "Identity",
    "Image",
    "ImagePolicy",
    "JsonSchema",
    "Message",
    "OPERAConfig",
    "ReadImage",
    "Request",
    "Role",
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
]
