"""Qwen-VL-Chat: a ViT, a resampler of 256 queries, and a decoder that equals Qwen2's.

Written after the paper (Bai et al., 2023) and the published checkpoint's layout. The decoder's
log-n scaling and dynamic NTK begin after 2,048 tokens, which is where the context ends here.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PretrainedConfig, Qwen2Config

from memvr_integrations.models.tower import TowerLayer
from memvr_integrations.models.vision_language import (
    VisionLanguageConfig,
    VisionLanguageGenerator,
    VisionLanguageModel,
)

_EPSILON = 1e-6
_POSITIONS = 16  # the ViT's learnt positions are a grid of 16 x 16, whatever the picture's size


class QwenVLVisionConfig(PretrainedConfig):
    """Sizes of the tower; the defaults are the published ones."""

    model_type = "memvr_qwen_vl_vision"
    base_config_key = "vision_config"

    image_size: int = 448
    patch_size: int = 14
    hidden_size: int = 1664
    intermediate_size: int = 8192
    num_hidden_layers: int = 48
    num_attention_heads: int = 16
    num_queries: int = 256
    resampler_heads: int = 32
    output_dim: int = 4096


class QwenVLConfig(VisionLanguageConfig):
    """Settings of Qwen-VL-Chat."""

    model_type = "memvr_qwen_vl"
    sub_configs: ClassVar[dict[str, type[PretrainedConfig]]] = {
        "vision_config": QwenVLVisionConfig,
        "text_config": Qwen2Config,
    }

    image_token_id: int = 151859

    @property
    def tower(self) -> QwenVLVisionConfig:
        """Sizes of the vision tower."""
        assert isinstance(self.vision_config, QwenVLVisionConfig)
        return self.vision_config


class QwenVLResampler(nn.Module):
    """Learnt queries read the patches by cross-attention: any picture becomes as many tokens."""

    def __init__(self, config: QwenVLVisionConfig) -> None:
        super().__init__()
        dim = config.output_dim
        self.heads = config.resampler_heads
        self.query = nn.Parameter(torch.zeros(config.num_queries, dim))
        self.positions = nn.Parameter(torch.zeros(config.num_queries, dim), requires_grad=False)
        self.kv_proj = nn.Linear(config.hidden_size, dim, bias=False)
        self.norm_q = nn.LayerNorm(dim, eps=_EPSILON)
        self.norm_kv = nn.LayerNorm(dim, eps=_EPSILON)
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (images, patches, width) to tokens (images, queries, dim)."""
        known = self.norm_kv(self.kv_proj(patches))
        query = self.q_proj(self.norm_q(self.query) + self.positions)
        key = self.k_proj(known + resized(self.positions, patches.shape[1]))
        mixed = functional.scaled_dot_product_attention(
            self._heads(query[None].expand(len(patches), -1, -1)),
            self._heads(key),
            self._heads(self.v_proj(known)),
        )
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _heads(self, states: Tensor) -> Tensor:
        images, length, dim = states.shape
        return states.view(images, length, self.heads, dim // self.heads).transpose(1, 2)


class QwenVLVision(nn.Module):
    """Pictures (images, 3, side, side) in, visual tokens (images, queries, dim) out."""

    def __init__(self, config: QwenVLVisionConfig) -> None:
        super().__init__()
        width, dim = config.hidden_size, config.output_dim
        side = config.patch_size
        self.patches = nn.Conv2d(3, width, kernel_size=side, stride=side, bias=False)
        self.positions = nn.Parameter(torch.zeros(_POSITIONS**2, width))
        self.norm_pre = nn.LayerNorm(width, eps=_EPSILON)
        sizes = (width, config.intermediate_size, config.num_attention_heads)
        self.layers = nn.ModuleList(
            TowerLayer(*sizes, _EPSILON) for _ in range(config.num_hidden_layers)
        )
        self.resampler = QwenVLResampler(config)
        self.norm_post = nn.LayerNorm(dim, eps=_EPSILON)
        self.proj = nn.Linear(dim, dim, bias=False)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Encode pictures."""
        pixels = pixel_values.to(self.patches.weight.dtype)
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        patches = self.norm_pre(patches + resized(self.positions, patches.shape[1]))
        for layer in self.layers:
            patches = layer(patches)
        tokens: Tensor = self.proj(self.norm_post(self.resampler(patches)))
        return tokens


def resized(positions: Tensor, patches: int) -> Tensor:
    """Stretch a square table of positions (n * n, width) to one of `patches` (patches, width)."""
    have, want = round(positions.shape[0] ** 0.5), round(patches**0.5)
    if have == want:
        return positions
    grid = positions.float().view(1, have, have, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, size=(want, want), mode="bicubic", align_corners=False)
    return grid.permute(0, 2, 3, 1).flatten(0, 2).to(positions.dtype)


class QwenVLModel(VisionLanguageModel):
    """Qwen-VL without a head."""

    config: QwenVLConfig
    _no_split_modules = ["TowerLayer", "QwenVLResampler", "Qwen2DecoderLayer"]  # noqa: RUF012

    def __init__(self, config: QwenVLConfig) -> None:
        super().__init__(config, QwenVLVision(config.tower))


class QwenVLForConditionalGeneration(VisionLanguageGenerator):
    """Qwen-VL-Chat."""

    config: QwenVLConfig

    def __init__(self, config: QwenVLConfig) -> None:
        super().__init__(config, QwenVLModel(config))
