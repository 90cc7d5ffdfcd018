"""The bundled model's shape, tokenizer and processor: LLaVA's architecture, small."""

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

from bundled_model.conversations.corpus import corpus
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world import GRID, PATCH, SIDE

PAD, BOS, EOS, IMAGE = "<pad>", "<s>", "</s>", "<image>"
IMAGE_TOKENS = GRID * GRID
VOCABULARY = 1024
VISION_WIDTH = 256
_SHIPPED = Path(__file__).parents[1] / "shipped"

# Images first within a message, as LLaVA-1.5 has it; a closed answer ends with </s>. Every picture
# but the first is numbered in words: a small model can't keep two of them apart by their places.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% set seen = namespace(pictures=0) %}"
    "{% set numbers = ['', '', 'second', 'third', 'fourth', 'fifth', 'sixth'] %}"
    "{% for message in messages %}"
    "{% set parts = [{'type': 'text', 'text': message.content}] "
    "if message.content is string else message.content %}"
    "{% if message.role == 'assistant' %}ASSISTANT:"
    "{% for part in parts %}{{ ' ' + part.text }}{% endfor %}{{ eos_token }}"
    "{% else %}"
    "{% if message.role == 'user' %}USER: {% endif %}"
    "{% for part in parts if part.type == 'image' %}"
    "{% set seen.pictures = seen.pictures + 1 %}"
    "{% if seen.pictures > 1 %}the {{ numbers[seen.pictures] or seen.pictures }}: {% endif %}"
    "<image>\n{% endfor %}"
    "{% for part in parts if part.type == 'text' %}{{ part.text + ' ' }}{% endfor %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def kept_with(weights: Path, name: str) -> Path:
    """A file that training keeps with a model and the package doesn't need.

    It lies in the model's folder; for the weights that ship, in the laboratory.
    """
    return (_SHIPPED if weights.resolve() == WEIGHTS.resolve() else weights) / name


def open_tokenizer(folder: Path = WEIGHTS) -> PreTrainedTokenizerFast:
    """The tokenizer of a checkpoint, by default the one that ships; a new one where there is none.

    It stays as it is for good: any change to it would make the checkpoint's weights worthless.
    """
    if (folder / "tokenizer.json").exists():
        kept: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
        return kept
    return build_tokenizer()


def own_tokenizer(
    folder: Path, *, first: bool, begun: Path | None = None
) -> PreTrainedTokenizerFast:
    """The tokenizer of a training folder; the `first` process keeps it there for all stages.

    A folder without one takes that of the checkpoint that training has `begun` with.
    """
    if (folder / "tokenizer.json").exists():
        return open_tokenizer(folder)
    tokenizer = open_tokenizer(begun or folder)
    if first:
        tokenizer.save_pretrained(folder)
    return tokenizer


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE that knows classes and plurals as single tokens, and can spell anything.

    Every digit is a token of its own, so that a number's places are learnt once.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, EOS, IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
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
    config = LlavaConfig(
        vision_config=_vision(),
        text_config=text,
        image_token_index=3,
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    model: LlavaForConditionalGeneration = LlavaForConditionalGeneration(config)
    return model


def build_tower() -> SiglipVisionModel:
    """The model's image tower alone, with random weights."""
    # Plain attention is faster than the fused one where a picture is 64 tokens and on a CPU.
    tower: SiglipVisionModel = SiglipVisionModel._from_config(
        _vision(), attn_implementation="eager"
    )
    return tower


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


def save(
    model: LlavaForConditionalGeneration,
    folder: Path,
    tokenizer: PreTrainedTokenizerFast | None = None,
) -> None:
    """Write model, tokenizer (the one that ships unless given) and processor as one checkpoint."""
    model.save_pretrained(folder)
    build_processor(tokenizer or open_tokenizer()).save_pretrained(folder)
