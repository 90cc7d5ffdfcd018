"""Native ports of checkpoints that transformers does not hold: Qwen-VL-Chat and GLM-4V-9B."""

from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from memvr_integrations.models.glm_4v import Glm4VConfig, Glm4VForConditionalGeneration
from memvr_integrations.models.processing import Glm4VProcessor, QwenVLProcessor
from memvr_integrations.models.qwen_vl import QwenVLConfig, QwenVLForConditionalGeneration
from memvr_integrations.models.vision_language import (
    VisionLanguageConfig,
    VisionLanguageGenerator,
    VisionLanguageModel,
)

__all__ = [
    "Glm4VConfig",
    "Glm4VForConditionalGeneration",
    "Glm4VProcessor",
    "QwenVLConfig",
    "QwenVLForConditionalGeneration",
    "QwenVLProcessor",
    "VisionLanguageConfig",
    "VisionLanguageGenerator",
    "VisionLanguageModel",
]

for _config, _model, _processor in (
    (QwenVLConfig, QwenVLForConditionalGeneration, QwenVLProcessor),
    (Glm4VConfig, Glm4VForConditionalGeneration, Glm4VProcessor),
):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoModelForImageTextToText.register(_config, _model, exist_ok=True)
    AutoProcessor.register(_config, _processor, exist_ok=True)
