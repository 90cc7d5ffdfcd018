"""What Zhipu published as GLM-4V-9B, and what it becomes here."""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken
from torch import Tensor

from memvr_integrations.errors import ModelLoadError
from memvr_integrations.models.glm_4v import Glm4VConfig
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
)
from memvr_integrations.models.processing import Glm4VProcessor, square_pictures
from memvr_integrations.models.tiktoken import build_tokenizer

ENDS = ("<|endoftext|>", "<|user|>", "<|observation|>")
_PICTURE = "<|begin_of_image|>"
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
_NEEDED = {*ENDS, "[gMASK]", "<sop>", _PICTURE, "<|end_of_image|>", *_ROLES}

TEMPLATE = """\
{%- set shown = namespace(count=0) -%}
{{- '[gMASK]<sop>' -}}
{%- for message in messages -%}
{{- '<|' + message['role'] + '|>\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
{%- set shown.count = shown.count + 1 -%}
{%- if shown.count > 1 -%}
{{- raise_exception('GLM-4V-9B reads one image a conversation') -}}
{%- endif -%}
{{- '<|begin_of_image|>' -}}
{%- endif -%}
{%- endfor -%}
{%- for part in message['content'] -%}
{%- if part['type'] != 'image' -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|>' -}}
{%- endif -%}
"""


def _grouped(tensor: Tensor, settings: Settings) -> Sequence[Tensor]:
    """Fused queries of all heads, then keys and values of the fewer groups.

    Where there are no groups, the original cuts head by head: each has its query, key and value.
    """
    head, heads = number(settings, "kv_channels"), number(settings, "num_attention_heads")
    if not settings.get("multi_query_attention"):
        by_head = tensor.unflatten(0, (heads, 3, head))
        return [by_head[:, part].flatten(0, 1) for part in range(3)]
    groups = _groups(settings)
    return tensor.split_with_sizes([heads * head, groups * head, groups * head])


def _groups(settings: Settings) -> int:
    """How many keys and values there are beside the queries of all heads."""
    fewer = settings.get("multi_query_attention")
    return number(settings, "multi_query_group_num" if fewer else "num_attention_heads")


_LAYER, _OURS = r"transformer\.encoder\.layers\.(\d+)", "model.language_model.layers.{0}"
_TOWER, _EYES = r"transformer\.vision", "model.vision"
_BLOCK, _EYE = rf"{_TOWER}\.transformer\.layers\.(\d+)", f"{_EYES}.layers.{{0}}"
_GLU, _ADAPTER = rf"{_TOWER}\.linear_proj", f"{_EYES}.adapter"

KEYS = KeyMap(
    [
        Rule(
            r"transformer\.embedding\.word_embeddings\.weight",
            ("model.language_model.embed_tokens.weight",),
        ),
        Rule(
            r"transformer\.encoder\.final_layernorm\.weight", ("model.language_model.norm.weight",)
        ),
        Rule(r"transformer\.output_layer\.weight", ("lm_head.weight",)),
        Rule(r"transformer\.rotary_pos_emb\.inv_freq", ()),
        Rule(rf"{_LAYER}\.input_layernorm\.weight", (f"{_OURS}.input_layernorm.weight",)),
        Rule(
            rf"{_LAYER}\.post_attention_layernorm\.weight",
            (f"{_OURS}.post_attention_layernorm.weight",),
        ),
        *both(
            rf"{_LAYER}\.self_attention\.query_key_value", *qkv(f"{_OURS}.self_attn"), cut=_grouped
        ),
        Rule(rf"{_LAYER}\.self_attention\.dense\.weight", (f"{_OURS}.self_attn.o_proj.weight",)),
        Rule(rf"{_LAYER}\.mlp\.dense_h_to_4h\.weight", (f"{_OURS}.mlp.gate_up_proj.weight",)),
        Rule(rf"{_LAYER}\.mlp\.dense_4h_to_h\.weight", (f"{_OURS}.mlp.down_proj.weight",)),
        *both(rf"{_TOWER}\.patch_embedding\.proj", f"{_EYES}.patches"),
        Rule(rf"{_TOWER}\.patch_embedding\.cls_embedding", (f"{_EYES}.cls",)),
        Rule(rf"{_TOWER}\.patch_embedding\.position_embedding\.weight", (f"{_EYES}.positions",)),
        *both(rf"{_BLOCK}\.attention\.query_key_value", f"{_EYE}.attention.qkv"),
        *both(rf"{_BLOCK}\.attention\.dense", f"{_EYE}.attention.proj"),
        *both(rf"{_BLOCK}\.input_layernorm", f"{_EYE}.norm1"),
        *both(rf"{_BLOCK}\.post_attention_layernorm", f"{_EYE}.norm2"),
        *both(rf"{_BLOCK}\.mlp\.fc1", f"{_EYE}.fc1"),
        *both(rf"{_BLOCK}\.mlp\.fc2", f"{_EYE}.fc2"),
        *both(rf"{_TOWER}\.conv", f"{_ADAPTER}.conv"),
        Rule(rf"{_GLU}\.linear_proj\.weight", (f"{_ADAPTER}.linear.weight",)),
        *both(rf"{_GLU}\.norm1", f"{_ADAPTER}.norm"),
        Rule(rf"{_GLU}\.gate_proj\.weight", (f"{_ADAPTER}.gate_proj.weight",)),
        Rule(rf"{_GLU}\.dense_h_to_4h\.weight", (f"{_ADAPTER}.up_proj.weight",)),
        Rule(rf"{_GLU}\.dense_4h_to_h\.weight", (f"{_ADAPTER}.down_proj.weight",)),
        Rule(rf"{_TOWER}\.boi", (f"{_EYES}.begin",)),
        Rule(rf"{_TOWER}\.eoi", (f"{_EYES}.end",)),
    ]
)

# Settings of the tower that are called the same here and there.
_SAME = {"image_size", "patch_size", "hidden_size", "intermediate_size", "num_hidden_layers"}
_SAME |= {"layer_norm_eps", "scaling_factor"}


def read_config(settings: Settings) -> Glm4VConfig:
    """Our settings from those of a published config.json.

    Raises:
        KeyError: Something is missing.
        TypeError: Something is of the wrong kind.
        ValueError: Something is not what was ported.
    """
    size, visual = settings, part(settings, "vision_config")
    expect(
        size,
        rmsnorm=True,
        apply_residual_connection_post_layernorm=False,
        post_layer_norm=True,
        add_bias_linear=False,
    )
    expect(visual, hidden_act="gelu", in_channels=3)
    divide(visual, "hidden_size", "num_heads")
    divide(visual, "image_size", "patch_size")
    vision = {
        **{name: visual[name] for name in _SAME},
        "num_attention_heads": visual["num_heads"],
        "adapter_size": size["ffn_hidden_size"],
        "output_dim": size["hidden_size"],
    }
    text = {
        "vocab_size": size["padded_vocab_size"],
        "hidden_size": size["hidden_size"],
        "intermediate_size": size["ffn_hidden_size"],
        "num_hidden_layers": size["num_layers"],
        "num_attention_heads": number(size, "num_attention_heads"),
        "num_key_value_heads": _groups(size),
        "head_dim": size["kv_channels"],
        "max_position_embeddings": number(size, "seq_length"),
        "rms_norm_eps": size["layernorm_epsilon"],
        "attention_bias": bool(size.get("add_qkv_bias")),
        "pad_token_id": size["pad_token_id"],
        "eos_token_id": size["eos_token_id"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0 * float(str(size.get("rope_ratio", 1))),
            "partial_rotary_factor": 0.5,
        },
    }
    return Glm4VConfig(
        vision_config=vision, text_config=text, image_token_id=number(size, "boi_token_id")
    )


def read_processor(folder: Path, config: Glm4VConfig) -> Glm4VProcessor:
    """The tokenizer and the pictures' size.

    Raises:
        ModelLoadError: A tokenizer's file is missing, or does not fit the model.
    """
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        known = {
            int(at): str(token["content"]) for at, token in settings["added_tokens_decoder"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(
            f"{folder / 'tokenizer_config.json'} does not say the special tokens "
            f"({type(error).__name__}: {error}). Download the checkpoint again, with all files."
        ) from error
    missing = sorted(_NEEDED - set(known.values()))
    if missing or known.get(config.image_token_id) != _PICTURE:
        raise ModelLoadError(
            f"{folder / 'tokenizer_config.json'} lacks {', '.join(missing) or _PICTURE}, or gives "
            f"token {config.image_token_id} another name: it is of another checkpoint, or cut off. "
            "Download all files again."
        )
    added = [AddedToken(known[at], special=True, normalized=False) for at in sorted(known)]
    tokenizer = build_tokenizer(
        folder / "tokenizer.model",
        added,
        known,
        digits=r"\p{N}{1,3}",
        end=ENDS[0],
        normalise=False,
    )
    return Glm4VProcessor(
        image_processor=square_pictures(config.tower.image_size),
        tokenizer=tokenizer,
        image_token=_PICTURE,
        image_tokens=config.tower.tokens,
        chat_template=TEMPLATE,
    )
