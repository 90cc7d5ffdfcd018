"""Every family of vision-language models, as tiny configurations.

All have the structure of the published checkpoints; weights and vocabulary are ours.
"""

from family_prompts import (
    COHERE,
    GEMMA,
    GEMMA_TOKENS,
    GLM,
    GLM_IDS,
    GLM_TOKENS,
    INTERN_TOKENS,
    MISTRAL,
    PIXTRAL_TOKENS,
    QWEN,
    QWEN_IDS,
    QWEN_TOKENS,
    TILE_TOKENS,
    TILED,
    VICUNA,
)
from tiny_family import SIDE, Family, chatml, text, turns

VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
PATCHES = VISION | {"num_attention_heads": 2, "image_size": SIDE, "patch_size": 7}
CLIP = PATCHES | {"model_type": "clip_vision_model"}
SIGLIP = PATCHES | {"model_type": "siglip_vision_model", "vision_use_head": False}
PIXTRAL = PATCHES | {"model_type": "pixtral", "image_size": 56, "head_dim": 8}
GRID = {"depth": 2, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2}
WIDE_GRID = GRID | {"hidden_size": 16, "intermediate_size": 32, "out_hidden_size": 32}
MROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
# What others make of the number of layers by themselves, Gemma's do of six at least.
MIXED = [*["sliding_attention"] * 3, "full_attention"]
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
FIXED = {"size": {"height": SIDE, "width": SIDE}}
ANYRES = {"image_grid_pinpoints": [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]}
FLEXIBLE = {"patch_size": 4, "merge_size": 2, "size": {"shortest_edge": 64, "longest_edge": 1024}}


def qwen(vision: dict[str, object], rope: dict[str, object], **more: object) -> dict[str, object]:
    return {
        "text_config": text(rope_parameters=MROPE | rope, **more),
        "vision_config": vision,
        "tie_word_embeddings": False,
    }


def qwen_family(processor: str, config: dict[str, object], **more: object) -> Family:
    return Family(
        config=config,
        ids=QWEN_IDS,
        tokens=QWEN_TOKENS,
        more_tokens=["<|im_start|>", "<|im_end|>"],
        images="Qwen2VLImageProcessor",
        reads=FLEXIBLE,
        processor=processor,
        template=QWEN,
        square=16,
        wide=10,
        **more,  # type: ignore[arg-type]
    )


# GLM counts a picture's pixels twice, as the two frames that it becomes.
GLM_FLEXIBLE = FLEXIBLE | {"size": {"shortest_edge": 64, "longest_edge": 2048}}


def glm_family(processor: str, images: str, config: dict[str, object], **more: object) -> Family:
    return Family(
        config=config,
        ids=GLM_IDS,
        tokens=GLM_TOKENS,
        more_tokens=["[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|system|>"],
        images=images,
        reads=GLM_FLEXIBLE,
        processor=processor,
        template=GLM,
        square=16,
        wide=10,
        **more,  # type: ignore[arg-type]
    )


QWEN3_TOWER = WIDE_GRID | {"deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64}
GLM_TOWER = WIDE_GRID | {"image_size": 32}
GLM_ROPE = {"partial_rotary_factor": 1.0}
LLAVA_SETTINGS = {
    "patch_size": 7,
    "vision_feature_select_strategy": "default",
    "num_additional_image_tokens": 1,
}
CROPPED = {
    "size": {"shortest_edge": SIDE},
    "crop_size": {"height": SIDE, "width": SIDE},
}
TILES = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
TILED_CONFIG = {
    "text_config": text(model_type="llama"),
    "vision_config": PATCHES,
    "scale_factor": 2,
}

FAMILIES: dict[str, Family] = {
    "llava": Family(
        config={
            "vision_config": CLIP,
            "text_config": text(model_type="llama"),
            "image_seq_length": 16,
        },
        ids={"image_token_index": "image_token"},
        tokens={"image_token": "<image>"},
        images="CLIPImageProcessor",
        reads=CROPPED,
        processor="LlavaProcessor",
        settings=LLAVA_SETTINGS,
        template=VICUNA,
        square=16,
        wide=16,
    ),
    "llava_next": Family(
        config={"vision_config": CLIP, "text_config": text(model_type="mistral"), **ANYRES},
        ids={"image_token_index": "image_token"},
        tokens={"image_token": "<image>"},
        images="LlavaNextImageProcessor",
        reads=CROPPED | ANYRES,
        processor="LlavaNextProcessor",
        settings=LLAVA_SETTINGS,
        template=VICUNA,
        square=88,
        wide=52,
    ),
    "llava_onevision": Family(
        config={
            "vision_config": SIGLIP,
            "text_config": text(model_type="qwen2"),
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": "anyres_max_9",
            **ANYRES,
        },
        ids={"image_token_index": "image_token", "video_token_index": "video_token"},
        tokens={"image_token": "<image>", "video_token": "<video>"},
        more_tokens=["<|im_start|>", "<|im_end|>"],
        images="LlavaOnevisionImageProcessor",
        reads=FIXED | ANYRES,
        processor="LlavaOnevisionProcessor",
        settings={"num_image_tokens": 16, "vision_feature_select_strategy": "full"},
        template=chatml("<image>\n"),
        square=88,
        wide=52,
        both=34,
    ),
    "pixtral": Family(
        model_type="llava",
        config={
            "vision_config": PIXTRAL,
            "text_config": text(model_type="mistral"),
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
        },
        ids={"image_token_index": "image_token"},
        tokens=PIXTRAL_TOKENS,
        more_tokens=["[INST]", "[/INST]"],
        images="PixtralImageProcessor",
        reads={"patch_size": {"height": 7, "width": 7}, "size": {"longest_edge": SIDE}},
        processor="PixtralProcessor",
        settings={"patch_size": 7},
        template=MISTRAL,
        square=16,
        wide=8,
    ),
    "mistral3": Family(
        config={
            "vision_config": PIXTRAL,
            "text_config": text(model_type="mistral"),
            "spatial_merge_size": 2,
        },
        ids={"image_token_index": "image_token"},
        tokens=PIXTRAL_TOKENS,
        more_tokens=["[INST]", "[/INST]"],
        images="PixtralImageProcessor",
        reads={"patch_size": {"height": 7, "width": 7}, "size": {"longest_edge": 50}},
        processor="PixtralProcessor",
        settings={"patch_size": 7, "spatial_merge_size": 2},
        template=MISTRAL,
        square=16,
        wide=8,
    ),
    "qwen2_vl": qwen_family(
        "Qwen2VLProcessor",
        qwen(GRID | {"embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2}, {}),
    ),
    "qwen2_5_vl": qwen_family(
        "Qwen2_5_VLProcessor",
        qwen(WIDE_GRID | {"window_size": 16, "fullatt_block_indexes": [1]}, {}),
    ),
    "qwen3_vl": qwen_family("Qwen3VLProcessor", qwen(QWEN3_TOWER, {"mrope_interleaved": True})),
    "qwen3_vl_moe": qwen_family(
        "Qwen3VLProcessor",
        qwen(QWEN3_TOWER, {"mrope_interleaved": True}, num_experts=4, **EXPERTS),
    ),
    "glm4v": glm_family("Glm4vProcessor", "Glm4vImageProcessor", qwen(GLM_TOWER, GLM_ROPE)),
    "glm4v_moe": glm_family(
        "Glm4vProcessor",
        "Glm4vImageProcessor",
        qwen(GLM_TOWER, GLM_ROPE, n_routed_experts=4, **EXPERTS),
    ),
    "glm46v": glm_family("Glm46VProcessor", "Glm46VImageProcessor", qwen(GLM_TOWER, GLM_ROPE)),
    "internvl": Family(
        config={
            "vision_config": PATCHES | {"image_size": [SIDE, SIDE], "patch_size": [7, 7]},
            "text_config": text(model_type="qwen2"),
            "image_seq_length": 4,
            "tie_word_embeddings": False,
        },
        ids={"image_token_id": "context_image_token"},
        tokens=INTERN_TOKENS,
        more_tokens=["<|im_start|>", "<|im_end|>"],
        images="GotOcr2ImageProcessor",
        reads=FIXED | {"max_patches": 4},
        processor="InternVLProcessor",
        settings={"image_seq_length": 4},
        template=chatml("<IMG_CONTEXT>\n"),
        square=20,
        wide=12,
    ),
    "gemma3": Family(
        config={
            "vision_config": SIGLIP,
            "text_config": text(sliding_window=16, layer_types=MIXED),
            "mm_tokens_per_image": 4,
            "tie_word_embeddings": False,
        },
        ids={
            "boi_token_index": "boi_token",
            "eoi_token_index": "eoi_token",
            "image_token_index": "image_token",
        },
        tokens=GEMMA_TOKENS,
        more_tokens=["<start_of_turn>", "<end_of_turn>"],
        images="Gemma3ImageProcessor",
        reads=FIXED,
        processor="Gemma3Processor",
        settings={"image_seq_length": 4},
        template=GEMMA,
        square=4,
        wide=4,
    ),
    "idefics3": Family(
        config=TILED_CONFIG,
        ids={"image_token_id": "image_token"},
        tokens={"image_token": "<image>"},
        more_tokens=[*TILE_TOKENS, "<|im_start|>"],
        images="Idefics3ImageProcessor",
        reads=TILES,
        processor="Idefics3Processor",
        settings={"image_seq_len": 4},
        template=TILED,
        square=20,
        wide=12,
    ),
    "smolvlm": Family(
        config=TILED_CONFIG,
        ids={"image_token_id": "image_token"},
        tokens={"image_token": "<image>", "video_token": "<video>"},
        more_tokens=[*TILE_TOKENS, "<|im_start|>"],
        images="SmolVLMImageProcessor",
        reads=TILES,
        processor="SmolVLMProcessor",
        settings={"image_seq_len": 4},
        template=TILED,
        square=20,
        wide=12,
    ),
    "paligemma": Family(
        config={
            "vision_config": SIGLIP | {"projection_dim": 32},
            "text_config": text(model_type="gemma"),
            "projection_dim": 32,
            "hidden_size": 32,
            "tie_word_embeddings": False,
        },
        ids={"image_token_index": "image_token"},
        tokens={"image_token": "<image>"},
        images="SiglipImageProcessor",
        reads=FIXED | {"image_seq_length": 16},
        processor="PaliGemmaProcessor",
        template=None,
        square=16,
        wide=16,
        text_alone=False,
    ),
    "aya_vision": Family(
        config={
            "vision_config": SIGLIP,
            "text_config": text(model_type="cohere2", sliding_window=16),
            "tie_word_embeddings": False,
        },
        ids={"image_token_index": "img_patch_token"},
        tokens={
            "image_token": "<image>",
            "img_patch_token": "<|IMG_PATCH|>",
            "start_of_img_token": "<|START_OF_IMG|>",
            "end_of_img_token": "<|END_OF_IMG|>",
            "tile_token": "TILE",
            "tile_global_token": "TILE_GLOBAL",
        },
        more_tokens=["<|TURN|>", "<|END|>", "<|CHATBOT|>"],
        images="GotOcr2ImageProcessor",
        reads=FIXED | {"max_patches": 4, "crop_to_patches": True},
        processor="AyaVisionProcessor",
        settings={"patch_size": 7, "img_size": SIDE, "downsample_factor": 2},
        template=COHERE,
        square=20,
        wide=12,
    ),
    "vipllava": Family(
        config={
            "vision_config": CLIP,
            "text_config": text(model_type="llama"),
            "vision_feature_layers": [-1, -2],
            "image_seq_length": 16,
        },
        ids={"image_token_index": "image_token"},
        tokens={"image_token": "<image>"},
        images="CLIPImageProcessor",
        reads=CROPPED,
        processor="LlavaProcessor",
        settings=LLAVA_SETTINGS,
        template=VICUNA,
        square=16,
        wide=16,
    ),
    "qwen3_5": qwen_family(
        "Qwen3VLProcessor",
        qwen(
            WIDE_GRID | {"num_position_embeddings": 64},
            {"mrope_interleaved": True, "partial_rotary_factor": 1.0},
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
        ),
    ),
    "gemma4": Family(
        config={
            "vision_config": VISION
            | {
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": 8,
                "patch_size": 4,
                "pooling_kernel_size": 2,
                "position_embedding_size": 64,
            },
            "text_config": text(
                sliding_window=16,
                layer_types=MIXED,
                hidden_size_per_layer_input=0,
                global_head_dim=8,
            ),
            "audio_config": None,
            "tie_word_embeddings": False,
        },
        ids={
            "boi_token_id": "boi_token",
            "eoi_token_id": "eoi_token",
            "image_token_id": "image_token",
            "boa_token_id": "boa_token",
            "eoa_token_index": "eoa_token",
            "audio_token_id": "audio_token",
            "video_token_id": "video_token",
        },
        tokens={
            "boi_token": "<|image>",
            "eoi_token": "<image|>",
            "image_token": "<|image|>",
            "boa_token": "<|audio>",
            "eoa_token": "<audio|>",
            "audio_token": "<|audio|>",
            "video_token": "<|video|>",
        },
        more_tokens=["<|turn>", "<turn|>"],
        images="Gemma4ImageProcessor",
        reads={"patch_size": 4, "pooling_kernel_size": 2, "max_soft_tokens": 70},
        processor="Gemma4Processor",
        template=turns("<|image|>", "<|turn>ROLE\n", "<turn|>\n", "<|turn>model\n", start="<s>"),
        square=64,
        wide=55,
    ),
}
