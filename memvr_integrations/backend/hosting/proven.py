"""What tests have shown of families, by model type; any other gets the slower and safe way."""

#: Whose prompts are read from left to right, pictures aside, which attend within themselves:
#: tests/backend/test_families.py.
READ_LEFT_TO_RIGHT = {
    "aya_vision",
    "gemma3",
    "glm46v",
    "glm4v",
    "glm4v_moe",
    "idefics3",
    "internvl",
    "llava",
    "llava_next",
    "llava_onevision",
    "mistral3",
    "qwen2_5_vl",
    "qwen2_vl",
    "qwen3_vl",
    "qwen3_vl_moe",
    "smolvlm",
    "vipllava",
}

#: Whose towers give a picture the same features beside others: tests/backend/test_families.py and
#: tests/models/test_backend.py.
ENCODED_TOGETHER = {
    "aya_vision",
    "gemma3",
    "gemma4",
    "glm46v",
    "glm4v",
    "glm4v_moe",
    "idefics3",
    "internvl",
    "llava",
    "llava_next",
    "llava_onevision",
    "memvr_glm_4v",
    "memvr_qwen_vl",
    "mistral3",
    "paligemma",
    "qwen2_5_vl",
    "qwen2_vl",
    "qwen3_5",
    "qwen3_vl",
    "qwen3_vl_moe",
    "smolvlm",
    "vipllava",
}
