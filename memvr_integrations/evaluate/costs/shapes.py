"""The architectures of published models with random weights: no download, the same arithmetic."""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GlmConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaProcessor,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
)

from memvr_integrations.backend.hosting.catalog import find_port
from memvr_integrations.backend.hosting.loading import LoadedModel
from memvr_integrations.backend.hosting.processors import load_processor
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.models import Glm4VConfig, Glm4VProcessor, QwenVLConfig, QwenVLProcessor
from memvr_integrations.models.processing import square_pictures

IMAGE = "<image>"  # as the bundled tokenizer writes a picture's place

# A family's own prompt costs what any prompt of its length does.
_TURNS = (
    "{% for message in messages %}{{ message.role + ': ' }}{% for part in message.content %}"
    "{% if part.type == 'image' %}PLACE{% else %}{{ part.text }}{% endif %}{% endfor %} "
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
_QWEN_TOKENS = {
    "image_token": IMAGE,
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}


def llava(
    layers: int, width: int, inner: int, heads: int, *, vocabulary: int = 32064
) -> LlavaConfig:
    """LLaVA-1.5 with a decoder of any size."""
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    text = LlamaConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        vocab_size=vocabulary,
        max_position_embeddings=4096,
    )
    return LlavaConfig(vision_config=vision, text_config=text)


def small_llava(layers: int, width: int, inner: int, heads: int, *, vocabulary: int) -> LlavaConfig:
    """A LLaVA that sees little: 64 image tokens of a small tower, so that its decoder counts."""
    vision = CLIPVisionConfig(
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=112,
        patch_size=14,
    )
    text = llava(layers, width, inner, heads, vocabulary=vocabulary).text_config
    return LlavaConfig(vision_config=vision, text_config=text)


def qwen2_5_vl() -> Qwen2_5_VLConfig:
    """Qwen2.5-VL-7B: its 8,292,166,656 weights are the published number."""
    text = {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "max_position_embeddings": 128000,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [16, 24, 24],
            "rope_theta": 1e6,
        },
    }
    vision = {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False)


def qwen_vl() -> QwenVLConfig:
    """Qwen-VL-Chat."""
    text = {
        "vocab_size": 151936,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 2048,
    }
    return QwenVLConfig(text_config=text)


def glm_4v() -> Glm4VConfig:
    """GLM-4V-9B."""
    return Glm4VConfig(text_config=GlmConfig(max_position_embeddings=8192))


# LLaVA's decoders: layers, width, FFN width, heads. Small ones are called by the decoder's width
# and the vocabulary; the one of 576 is as SmolLM2-135M.
_SMALL = {576: (30, 1536, 9), 768: (12, 2112, 12), 1024: (12, 2816, 16), 2048: (16, 5632, 32)}
_VOCABULARIES = {"32k": 32064, "49k": 49152}


def _small(width: int, vocabulary: int) -> Callable[[], PretrainedConfig]:
    layers, inner, heads = _SMALL[width]
    return lambda: small_llava(layers, width, inner, heads, vocabulary=vocabulary)


SHAPES: dict[str, Callable[[], PretrainedConfig]] = {
    "0.1b": lambda: llava(12, 768, 2048, 12),
    "1b": lambda: llava(22, 2048, 5632, 32),
    "7b": lambda: llava(32, 4096, 11008, 32),
    "13b": lambda: llava(40, 5120, 13824, 40),
    "qwen2.5-vl-7b": qwen2_5_vl,
    "qwen-vl-chat": qwen_vl,
    "glm-4v-9b": glm_4v,
    **{
        f"{width}-{name}": _small(width, vocabulary)
        for width in _SMALL
        for name, vocabulary in _VOCABULARIES.items()
    },
}


def random_model(
    name: str, config: PretrainedConfig, device: torch.device, dtype: torch.dtype
) -> LoadedModel:
    """A model with random weights and a processor that fits it; `config` as of `SHAPES`."""
    vocabulary = config.get_text_config().vocab_size
    tokens = _QWEN_TOKENS if isinstance(config, Qwen2_5_VLConfig) else {}
    tokenizer = _tokenizer(vocabulary, tokens)
    processor = _processor(config, tokenizer)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    finally:
        torch.set_default_dtype(before)
    return LoadedModel(
        name=f"random {name}",
        model=model.to(device).eval(),
        processor=processor,
        row=find_port(config.model_type),  # for its preset
    )


def _tokenizer(vocabulary: int, named: Mapping[str, str]) -> PreTrainedTokenizerFast:
    """The bundled one, grown: an id without a text would keep the stream waiting."""
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(WEIGHTS)
    if named:
        more = [token for token in named.values() if token != IMAGE]
        tokenizer.add_special_tokens({"additional_special_tokens": more})
    tokenizer.add_tokens([f" w{index}" for index in range(len(tokenizer), vocabulary)])
    return tokenizer


def _processor(config: PretrainedConfig, tokenizer: PreTrainedTokenizerFast) -> ProcessorMixin:
    if isinstance(config, Qwen2_5_VLConfig):
        for name, token in _QWEN_TOKENS.items():
            setattr(config, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
        return _qwen2_5_vl_processor(config, tokenizer)
    config.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE)
    template = _TURNS.replace("PLACE", IMAGE)
    if isinstance(config, QwenVLConfig | Glm4VConfig):
        made, places = (
            (QwenVLProcessor, config.tower.num_queries)
            if isinstance(config, QwenVLConfig)
            else (Glm4VProcessor, config.tower.tokens)
        )
        return made(
            image_processor=square_pictures(config.tower.image_size),
            tokenizer=tokenizer,
            image_token=IMAGE,
            image_tokens=places,
            chat_template=template,
        )
    side = config.vision_config.image_size
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=side),
        tokenizer=tokenizer,
        patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=(WEIGHTS / "chat_template.jinja").read_text(encoding="utf-8"),
    )


def _qwen2_5_vl_processor(
    config: Qwen2_5_VLConfig, tokenizer: PreTrainedTokenizerFast
) -> ProcessorMixin:
    """Read from files, as a checkpoint's is: its class alone would need torchvision."""
    vision = config.vision_config
    assert isinstance(vision, PretrainedConfig)
    reads = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
        "patch_size": vision.patch_size,
        "merge_size": vision.spatial_merge_size,
        "size": {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280},
    }
    start, end = _QWEN_TOKENS["vision_start_token"], _QWEN_TOKENS["vision_end_token"]
    place = start + _QWEN_TOKENS["image_token"] + end
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(reads))
        (Path(folder) / "chat_template.jinja").write_text(_TURNS.replace("PLACE", place))
        return load_processor(folder, None, config)
