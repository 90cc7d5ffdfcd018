"""The prompt formats and special tokens of the families, as their checkpoints have them."""

from tiny_family import chatml, turns

VICUNA = turns("<image>\n", "ROLE: ", " ", "ASSISTANT:")
QWEN = chatml("<|vision_start|><|image_pad|><|vision_end|>")
GLM = turns(
    "<|begin_of_image|><|image|><|end_of_image|>",
    "<|ROLE|>\n",
    "",
    "<|assistant|>\n",
    start="[gMASK]<sop>",
)
MISTRAL = turns("[IMG]", "[INST]<ROLE>", "[/INST]", "", start="<s>")
TILED = turns("<image>", "ROLE:", "<end_of_utterance>\n", "Assistant:", start="<|im_start|>")
GEMMA = turns(
    "<start_of_image>",
    "<start_of_turn>ROLE\n",
    "<end_of_turn>\n",
    "<start_of_turn>model\n",
    start="<s>",
)
COHERE = turns("<image>", "<|TURN|><|ROLE|>", "<|END|>", "<|TURN|><|CHATBOT|>", start="<s>")

QWEN_TOKENS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
QWEN_IDS = {f"{name}_id": name for name in QWEN_TOKENS}
GLM_TOKENS = {
    "image_token": "<|image|>",
    "video_token": "<|video|>",
    "image_start_token": "<|begin_of_image|>",
    "image_end_token": "<|end_of_image|>",
    "video_start_token": "<|begin_of_video|>",
    "video_end_token": "<|end_of_video|>",
}
GLM_IDS = {f"{name}_id": name for name in GLM_TOKENS}
PIXTRAL_TOKENS = {
    "image_token": "[IMG]",
    "image_break_token": "[IMG_BREAK]",
    "image_end_token": "[IMG_END]",
}
TILE_TOKENS = [
    "<fake_token_around_image>",
    "<end_of_utterance>",
    "<global-img>",
    *[f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)],
]
GEMMA_TOKENS = {
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>",
}
INTERN_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
