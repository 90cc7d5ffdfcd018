"""GLM-4V-9B: an EVA2-CLIP tower, a convolution and a GLU as adapter, and GLM-4's decoder.

Written after the papers (CogVLM, Wang et al., 2023; GLM-4, 2024) and the published checkpoint's
layout. A picture is framed by two learnt vectors, and all its patches share one position.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GlmConfig, PretrainedConfig

from memvr_integrations.models.tower import TowerLayer
from memvr_integrations.models.vision_language import (
    VisionLanguageConfig,
    VisionLanguageGenerator,
    VisionLanguageModel,
)


class Glm4VVisionConfig(PretrainedConfig):
    """Sizes of tower and adapter; the defaults are the published ones."""

    model_type = "memvr_glm_4v_vision"
    base_config_key = "vision_config"

    image_size: int = 1120
    patch_size: int = 14
    hidden_size: int = 1792
    intermediate_size: int = 15360
    num_hidden_layers: int = 63
    num_attention_heads: int = 16
    layer_norm_eps: float = 1e-6
    scaling_factor: float = 8.0
    adapter_size: int = 13696
    output_dim: int = 4096

    @property
    def tokens(self) -> int:
        """Visual tokens of a picture, its frame of two included."""
        return (self.image_size // self.patch_size // 2) ** 2 + 2


class Glm4VConfig(VisionLanguageConfig):
    """Settings of GLM-4V-9B."""

    model_type = "memvr_glm_4v"
    sub_configs: ClassVar[dict[str, type[PretrainedConfig]]] = {
        "vision_config": Glm4VVisionConfig,
        "text_config": GlmConfig,
    }

    image_token_id: int = 151339

    @property
    def tower(self) -> Glm4VVisionConfig:
        """Sizes of the vision tower."""
        assert isinstance(self.vision_config, Glm4VVisionConfig)
        return self.vision_config


class Glm4VAdapter(nn.Module):
    """Four neighbouring patches become one token of the decoder's width."""

    def __init__(self, config: Glm4VVisionConfig) -> None:
        super().__init__()
        dim, size = config.output_dim, config.adapter_size
        self.conv = nn.Conv2d(config.hidden_size, dim, kernel_size=2, stride=2)
        self.linear = nn.Linear(dim, dim, bias=False)
        self.norm = nn.LayerNorm(dim)
        self.gate_proj = nn.Linear(dim, size, bias=False)
        self.up_proj = nn.Linear(dim, size, bias=False)
        self.down_proj = nn.Linear(size, dim, bias=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (images, n * n, width) to tokens (images, n * n / 4, dim)."""
        side = round(patches.shape[1] ** 0.5)
        grid = patches.transpose(1, 2).unflatten(2, (side, side))
        tokens = self.linear(self.conv(grid).flatten(2).transpose(1, 2))
        tokens = functional.gelu(self.norm(tokens))
        gated = functional.silu(self.gate_proj(tokens)) * self.up_proj(tokens)
        out: Tensor = self.down_proj(gated)
        return out


class Glm4VVision(nn.Module):
    """Pictures (images, 3, side, side) in, framed visual tokens (images, tokens, dim) out."""

    def __init__(self, config: Glm4VVisionConfig) -> None:
        super().__init__()
        width, dim, side = config.hidden_size, config.output_dim, config.patch_size
        patches = (config.image_size // side) ** 2
        self.scaling_factor = config.scaling_factor
        self.patches = nn.Conv2d(3, width, kernel_size=side, stride=side)
        self.cls = nn.Parameter(torch.zeros(1, width))
        self.positions = nn.Parameter(torch.zeros(patches + 1, width))
        sizes = (width, config.intermediate_size, config.num_attention_heads)
        self.layers = nn.ModuleList(
            TowerLayer(*sizes, config.layer_norm_eps, norm_first=False)
            for _ in range(config.num_hidden_layers)
        )
        self.adapter = Glm4VAdapter(config)
        self.begin = nn.Parameter(torch.zeros(1, 1, dim))
        self.end = nn.Parameter(torch.zeros(1, 1, dim))

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Encode pictures."""
        pixels = pixel_values.to(self.patches.weight.dtype)
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        images = len(patches)
        patches = torch.cat([self.cls.expand(images, 1, -1), patches], dim=1) + self.positions
        for layer in self.layers:
            patches = layer(patches)
        tokens = self.adapter(patches[:, 1:])
        begin, end = self.begin.expand(images, -1, -1), self.end.expand(images, -1, -1)
        return torch.cat([begin, tokens, end], dim=1) / self.scaling_factor


class Glm4VModel(VisionLanguageModel):
    """GLM-4V without a head."""

    config: Glm4VConfig
    own_positions = True
    _no_split_modules = ["TowerLayer", "Glm4VAdapter", "GlmDecoderLayer"]  # noqa: RUF012

    def __init__(self, config: Glm4VConfig) -> None:
        super().__init__(config, Glm4VVision(config.tower))

    def positions(self, input_ids: Tensor, mask: Tensor | None) -> Tensor:
        """Give all patches of a picture one position between those of its frame."""
        length = self.config.tower.tokens
        shown = input_ids == self.config.image_token_id
        place = (shown.long().cumsum(-1) - 1) % length
        inside = shown & (place > 1) & (place < length - 1)
        steps = (~inside).long()
        if mask is not None:
            steps = steps * mask.to(steps)
        return (steps.cumsum(-1) - 1).clamp_min(0)


class Glm4VForConditionalGeneration(VisionLanguageGenerator):
    """GLM-4V-9B."""

    config: Glm4VConfig

    def __init__(self, config: Glm4VConfig) -> None:
        super().__init__(config, Glm4VModel(config))
