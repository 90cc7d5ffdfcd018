"""What Qwen published as Qwen-VL-Chat, and what it becomes here."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken
from torch import Tensor

from memvr_integrations.models.keymap import (
    KeyMap,
    Rule,
    Settings,
    both,
    divide,
    expect,
    number,
    part,
    qkv,
    thirds,
    turned,
)
from memvr_integrations.models.processing import QwenVLProcessor, square_pictures
from memvr_integrations.models.qwen_vl import QwenVLConfig
from memvr_integrations.models.tiktoken import build_tokenizer

# The decoder's positions are plain ones up to the length it was trained on.
_TRAINED_LENGTH = 2048
ENDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_SPANS = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>")
_PICTURE = ("<img>", "</img>", "<imgpad>")
_EXTRAS = 205

TEMPLATE = """\
{%- set shown = namespace(count=0) -%}
{%- if messages[0]['role'] != 'system' -%}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
{%- set shown.count = shown.count + 1 -%}
{{- 'Picture ' ~ shown.count ~ ': <img><imgpad></img>\\n' -}}
{%- else -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def _by_head(tensor: Tensor, settings: Settings) -> Sequence[Tensor]:
    """The ViT's rows come a head at a time, each with its query, key and value."""
    heads = number(part(settings, "visual"), "heads")
    split = tensor.unflatten(0, (heads, 3, -1))
    return [split.transpose(0, 1).flatten(0, 2)]


_LAYER, _OURS = r"transformer\.h\.(\d+)", "model.language_model.layers.{0}"
_TOWER, _EYES = r"transformer\.visual", "model.vision"
_BLOCK, _EYE = rf"{_TOWER}\.transformer\.resblocks\.(\d+)", f"{_EYES}.layers.{{0}}"
_POOL, _SAMPLER = rf"{_TOWER}\.attn_pool", f"{_EYES}.resampler"

KEYS = KeyMap(
    [
        Rule(r"transformer\.wte\.weight", ("model.language_model.embed_tokens.weight",)),
        Rule(r"transformer\.ln_f\.weight", ("model.language_model.norm.weight",)),
        Rule(r"lm_head\.weight", ("lm_head.weight",)),
        Rule(r".*\.(?:rotary_emb\.inv_freq|masked_bias|attn\.bias)", ()),
        Rule(rf"{_LAYER}\.ln_1\.weight", (f"{_OURS}.input_layernorm.weight",)),
        Rule(rf"{_LAYER}\.ln_2\.weight", (f"{_OURS}.post_attention_layernorm.weight",)),
        *both(rf"{_LAYER}\.attn\.c_attn", *qkv(f"{_OURS}.self_attn"), cut=thirds),
        Rule(rf"{_LAYER}\.attn\.c_proj\.weight", (f"{_OURS}.self_attn.o_proj.weight",)),
        Rule(rf"{_LAYER}\.mlp\.w1\.weight", (f"{_OURS}.mlp.up_proj.weight",)),
        Rule(rf"{_LAYER}\.mlp\.w2\.weight", (f"{_OURS}.mlp.gate_proj.weight",)),
        Rule(rf"{_LAYER}\.mlp\.c_proj\.weight", (f"{_OURS}.mlp.down_proj.weight",)),
        Rule(rf"{_TOWER}\.conv1\.weight", (f"{_EYES}.patches.weight",)),
        Rule(rf"{_TOWER}\.positional_embedding", (f"{_EYES}.positions",)),
        Rule(rf"{_TOWER}\.proj", (f"{_EYES}.proj.weight",), turned),
        *both(rf"{_TOWER}\.ln_pre", f"{_EYES}.norm_pre"),
        *both(rf"{_TOWER}\.ln_post", f"{_EYES}.norm_post"),
        *both(rf"{_BLOCK}\.ln_1", f"{_EYE}.norm1"),
        *both(rf"{_BLOCK}\.ln_2", f"{_EYE}.norm2"),
        *both(rf"{_BLOCK}\.attn\.in_proj", f"{_EYE}.attention.qkv", cut=_by_head),
        *both(rf"{_BLOCK}\.attn\.out_proj", f"{_EYE}.attention.proj"),
        *both(rf"{_BLOCK}\.mlp\.c_fc", f"{_EYE}.fc1"),
        *both(rf"{_BLOCK}\.mlp\.c_proj", f"{_EYE}.fc2"),
        Rule(rf"{_POOL}\.query", (f"{_SAMPLER}.query",)),
        Rule(rf"{_POOL}\.pos_embed", (f"{_SAMPLER}.positions",)),
        Rule(rf"{_POOL}\.kv_proj\.weight", (f"{_SAMPLER}.kv_proj.weight",)),
        *both(rf"{_POOL}\.ln_q", f"{_SAMPLER}.norm_q"),
        *both(rf"{_POOL}\.ln_kv", f"{_SAMPLER}.norm_kv"),
        *both(rf"{_POOL}\.attn\.in_proj", *qkv(_SAMPLER), cut=thirds, mark="_"),
        *both(rf"{_POOL}\.attn\.out_proj", f"{_SAMPLER}.out_proj"),
    ]
)


def read_config(settings: Settings) -> QwenVLConfig:
    """Our settings from those of a published config.json.

    Raises:
        KeyError: Something is missing.
        TypeError: Something is of the wrong kind.
        ValueError: Something is not what was ported.
    """
    visual, size = part(settings, "visual"), settings
    dim, width = number(visual, "output_dim"), number(visual, "width")
    heads, hidden = number(size, "num_attention_heads"), number(size, "hidden_size")
    divide(size, "hidden_size", "num_attention_heads")
    expect(size, no_bias=True, kv_channels=hidden // heads, scale_attn_weights=True)
    divide(visual, "width", "heads")
    divide(visual, "image_size", "patch_size")
    vision = {
        "image_size": visual["image_size"],
        "patch_size": visual["patch_size"],
        "hidden_size": width,
        "intermediate_size": int(width * _ratio(visual)),
        "num_hidden_layers": number(visual, "layers"),
        "num_attention_heads": number(visual, "heads"),
        "num_queries": visual.get("n_queries", 256),
        "resampler_heads": max(1, dim // 128),
        "output_dim": dim,
    }
    text = {
        "vocab_size": size["vocab_size"],
        "hidden_size": size["hidden_size"],
        "intermediate_size": number(size, "intermediate_size") // 2,
        "num_hidden_layers": size["num_hidden_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": (
            number(size, "seq_length") if "seq_length" in size else _TRAINED_LENGTH
        ),
        "rms_norm_eps": size["layer_norm_epsilon"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": float(number(size, "rotary_emb_base")),
        },
        "tie_word_embeddings": False,
    }
    return QwenVLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=number(visual, "image_start_id") + 2,
    )


def read_processor(folder: Path, config: QwenVLConfig) -> QwenVLProcessor:
    """The tokenizer and the pictures' size.

    Raises:
        ModelLoadError: The tokenizer's file is missing, or does not fit the model.
    """
    special = [*ENDS, *(f"<|extra_{number}|>" for number in range(_EXTRAS))]
    added = [AddedToken(name, special=True, normalized=False) for name in special]
    # An answer's boxes are for its reader, so these tokens must not be left out of it.
    added += [AddedToken(name, special=False, normalized=False) for name in _SPANS]
    added += [AddedToken(name, special=True, normalized=False) for name in _PICTURE]
    tokenizer = build_tokenizer(
        folder / "qwen.tiktoken",
        added,
        {config.image_token_id: _PICTURE[2]},
        digits=r"\p{N}",
        end=ENDS[0],
        normalise=True,
    )
    return QwenVLProcessor(
        image_processor=square_pictures(config.tower.image_size),
        tokenizer=tokenizer,
        image_token=_PICTURE[2],
        image_tokens=config.tower.num_queries,
        chat_template=TEMPLATE,
    )


def _ratio(visual: Settings) -> float:
    ratio = visual["mlp_ratio"]
    if not isinstance(ratio, int | float) or not 0 < ratio < 100:
        raise TypeError(f"mlp_ratio is {ratio!r}, not a number above 0")
    return ratio
