"""A LLaVA of two finished parts: the box model's tower, a real language model, and what is between.

The projector's weights are random, until they are trained or read from a file of adapters.
"""

from pathlib import Path

import torch
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from bundled_model.real_language.base import open_base
from bundled_model.training.model import IMAGE, build_processor
from memvr_integrations.bundled import WEIGHTS

# The language model's own format; a picture stands before the words of its message.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content if part.type == 'image' %}<image>\n{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}"
    "{% endif %}{{ '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def build(file: Path) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Model (float32) and processor of the language model in `file` and the shipped tower."""
    language, tokenizer = open_base(file)
    box = LlavaForConditionalGeneration.from_pretrained(WEIGHTS, dtype=torch.float32)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    text = language.config.to_dict()
    text.pop("quantization_config", None)
    text["vocab_size"] = len(tokenizer)
    config = LlavaConfig(
        vision_config=box.model.vision_tower.config.to_dict(),
        text_config=text,
        image_token_index=int(str(tokenizer.convert_tokens_to_ids(IMAGE))),
        image_seq_length=box.config.image_seq_length,
        vision_feature_layer=box.config.vision_feature_layer,
        vision_feature_select_strategy=box.config.vision_feature_select_strategy,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    language.resize_token_embeddings(len(tokenizer))
    model.model.language_model.load_state_dict(language.model.state_dict())
    model.model.vision_tower.load_state_dict(box.model.vision_tower.state_dict())
    model.tie_weights()
    generation = model.generation_config
    generation.eos_token_id = tokenizer.eos_token_id
    generation.pad_token_id = tokenizer.pad_token_id
    return model.eval(), _processor(tokenizer)


def _processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    tokenizer.padding_side = "left"
    processor = build_processor(tokenizer)
    processor.chat_template = CHAT_TEMPLATE
    return processor
