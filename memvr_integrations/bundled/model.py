"""The bundled model's shape, tokenizer and processor: LLaVA's architecture, small."""

import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from memvr_integrations.bundled import WEIGHTS, questions
from memvr_integrations.bundled.scenes import GRID, PATCH, SIDE, Scene, Thing, sample_names
from memvr_integrations.bundled.words import CLASSES, COLORS, PAINTABLE, THEMES, plural

PAD, BOS, EOS, IMAGE = "<pad>", "<s>", "</s>", "<image>"
IMAGE_TOKENS = GRID * GRID
VOCABULARY = 896
VISION_WIDTH = 256

# Images first within a message, as LLaVA-1.5 has it; a closed answer ends with </s>.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% set parts = [{'type': 'text', 'text': message.content}] "
    "if message.content is string else message.content %}"
    "{% if message.role == 'assistant' %}ASSISTANT:"
    "{% for part in parts %}{{ ' ' + part.text }}{% endfor %}{{ eos_token }}"
    "{% else %}"
    "{% if message.role == 'user' %}USER: {% endif %}"
    "{% for part in parts if part.type == 'image' %}<image>\n{% endfor %}"
    "{% for part in parts if part.type == 'text' %}{{ part.text + ' ' }}{% endfor %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def open_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer that ships; a new one only where there is none.

    It stays as it is for good: any change to it would make all weights worthless.
    """
    if (WEIGHTS / "tokenizer.json").exists():
        shipped: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(WEIGHTS)
        return shipped
    return build_tokenizer()


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE that knows all classes as single words and can spell anything else."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, EOS, IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens={"image_token": IMAGE},
        padding_side="left",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )


def build_model(*, layers: int, width: int, heads: int) -> LlavaForConditionalGeneration:
    """A model with random weights: SigLIP ViT 6 x 256 at 128 px, Llama `layers` x `width`."""
    text = LlamaConfig(
        hidden_size=width,
        intermediate_size=round(width * 8 / 3 / 32) * 32,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        vocab_size=VOCABULARY,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        max_position_embeddings=2048,
    )
    return LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=_vision(),
            text_config=text,
            image_token_index=3,
            image_seq_length=IMAGE_TOKENS,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
            tie_word_embeddings=True,
        )
    )


def build_tower() -> SiglipVisionModel:
    """The model's image tower alone, with random weights."""
    # Plain attention is faster than the fused one where a picture is 64 tokens and on a CPU.
    return SiglipVisionModel._from_config(_vision(), attn_implementation="eager")


def _vision() -> SiglipVisionConfig:
    return SiglipVisionConfig(
        hidden_size=VISION_WIDTH,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=8,
        image_size=SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Pixels to tensors and messages to prompts, as a transformers processor."""
    image_processor = SiglipImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def save(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """Write model, tokenizer and processor as one transformers checkpoint."""
    model.save_pretrained(folder)
    build_processor(open_tokenizer()).save_pretrained(folder)


def _corpus() -> Iterator[str]:
    rng = random.Random(0)
    themes = tuple(THEMES)
    for _ in range(6000):
        theme, names = sample_names(rng, themes)
        scene = _without_pixels(theme, names, rng)
        for turn in questions.ask(scene, rng, 8, themes):
            yield f"USER: \n{turn.question} ASSISTANT: {turn.answer}"
            yield f"USER: {turn.question} ASSISTANT:"
    # Every class alone, often enough to become one token.
    for name in CLASSES:
        yield from [f" {name} {plural(name)} a {name}"] * 200


def _without_pixels(theme: str, names: list[str], rng: random.Random) -> Scene:
    import numpy as np

    things = tuple(
        Thing(
            name=name,
            color=rng.choice(list(COLORS)) if name in PAINTABLE else None,
            centers=((rng.random(), rng.random()),) * rng.choice([1, 1, 2, 3, 4]),
        )
        for name in names
    )
    empty = np.zeros(0, np.uint8)
    return Scene(theme=theme, things=things, pixels=empty, patches=empty)
