"""What goes into an engine and what comes out."""

from memvr_integrations.types.requests import (
    Box,
    Chunk,
    Completion,
    FinishReason,
    Image,
    Message,
    Request,
    Role,
    SamplingParams,
    Text,
    TokenRecord,
    Usage,
)
from memvr_integrations.types.tools import JsonSchema, Tool, ToolCall, ToolCallDelta

__all__ = [
    "Box",
    "Chunk",
    "Completion",
    "FinishReason",
    "Image",
    "JsonSchema",
    "Message",
    "Request",
    "Role",
    "SamplingParams",
    "Text",
    "TokenRecord",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
]
