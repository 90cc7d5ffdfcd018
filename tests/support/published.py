"""Tiny checkpoints in the layout in which Qwen-VL-Chat and GLM-4V-9B were published."""

import base64
import json
import re

import torch
from memvr_models import load_arrays, load_json
from safetensors.torch import save_file

QWEN = {
    "model_type": "qwen",
    "architectures": ["QWenLMHeadModel"],
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 96,
    "num_hidden_layers": 32,
    "num_attention_heads": 4,
    "kv_channels": 8,
    "seq_length": 2048,
    "layer_norm_epsilon": 1e-6,
    "rotary_emb_base": 10000,
    "no_bias": True,
    "visual": {
        "image_size": 56,
        "patch_size": 14,
        "width": 32,
        "layers": 2,
        "heads": 2,
        "mlp_ratio": 2.0,
        "n_queries": 16,
        "output_dim": 32,
        "image_start_id": 505,
    },
}
GLM = {
    "model_type": "chatglm",
    "architectures": ["ChatGLMForConditionalGeneration"],
    "padded_vocab_size": 512,
    "hidden_size": 32,
    "ffn_hidden_size": 48,
    "num_layers": 24,
    "num_attention_heads": 4,
    "kv_channels": 8,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "add_qkv_bias": True,
    "seq_length": 8192,
    "layernorm_epsilon": 1.5625e-07,
    "eos_token_id": [498, 505, 507],
    "pad_token_id": 498,
    "boi_token_id": 508,
    "eoi_token_id": 509,
    "vision_config": {
        "image_size": 56,
        "patch_size": 14,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_heads": 2,
        "layer_norm_eps": 1e-6,
        "scaling_factor": 8.0,
    },
}
NORM = re.compile(r"(norm\w*|ln_\w+)\.weight$")
QUIET = re.compile(
    r"visual\.(conv1|positional|ln_pre)|resblocks.*(out_proj|c_proj)|wte|word_embeddings"
    r"|attn_pool\.(query|kv_proj|attn\.out_proj)|vision\.(conv|.*(attention\.dense|fc2))"
)
GLM_TOKENS = [
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
]


def write_ranks(path, count):
    """Every byte, then pairs and triples of letters."""
    ranks = [bytes([byte]) for byte in range(256)]
    words = b" is there a dog in the picture and what colour are the three apples on it"
    pairs = [words[at : at + 2] for at in range(len(words) - 1)]
    pairs += [bytes([one, other]) for one in b"aeiou" for other in range(97, 123)]
    pairs += [bytes([other, one]) for one in b"aeiou" for other in range(97, 123)]
    grown = [words[at : at + 3] for at in range(len(words) - 2)]
    ranks += [piece for piece in dict.fromkeys(pairs + grown) if b" " not in piece[1:]]
    lines = [base64.b64encode(token) + b" %d" % rank for rank, token in enumerate(ranks[:count])]
    assert len(lines) == count
    path.write_bytes(b"\n".join(lines))


def noise(shapes, seed=0):
    random = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=random) * 0.1 for name, shape in shapes.items()}


def qwen_tower(width=32, layers=2, ff=64, dim=32, queries=16):
    block = "transformer.resblocks.{}"
    shapes = {
        "conv1.weight": (width, 3, 14, 14),
        "positional_embedding": (256, width),
        "proj": (dim, dim),
        "attn_pool.query": (queries, dim),
        "attn_pool.pos_embed": (queries, dim),
        "attn_pool.kv_proj.weight": (dim, width),
        "attn_pool.attn.in_proj_weight": (3 * dim, dim),
        "attn_pool.attn.in_proj_bias": (3 * dim,),
        "attn_pool.attn.out_proj.weight": (dim, dim),
        "attn_pool.attn.out_proj.bias": (dim,),
    }
    for name, size in (("ln_pre", width), ("ln_post", dim)):
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    for name in ("ln_q", "ln_kv"):
        shapes |= {f"attn_pool.{name}.weight": (dim,), f"attn_pool.{name}.bias": (dim,)}
    for at in range(layers):
        own = block.format(at)
        sizes = {
            "ln_1": (width,),
            "ln_2": (width,),
            "attn.in_proj": (3 * width, width),
            "attn.out_proj": (width, width),
            "mlp.c_fc": (ff, width),
            "mlp.c_proj": (width, ff),
        }
        for name, size in sizes.items():
            shapes |= {f"{own}.{name}.weight": size, f"{own}.{name}.bias": size[:1]}
    return noise(shapes)


def glm_tower(width=16, layers=2, ff=32, dim=32, glu=48, patches=16):
    shapes = {
        "boi": (1, 1, dim),
        "eoi": (1, 1, dim),
        "conv.weight": (dim, width, 2, 2),
        "conv.bias": (dim,),
        "linear_proj.linear_proj.weight": (dim, dim),
        "linear_proj.norm1.weight": (dim,),
        "linear_proj.norm1.bias": (dim,),
        "linear_proj.gate_proj.weight": (glu, dim),
        "linear_proj.dense_h_to_4h.weight": (glu, dim),
        "linear_proj.dense_4h_to_h.weight": (dim, glu),
        "patch_embedding.cls_embedding": (1, width),
        "patch_embedding.position_embedding.weight": (patches + 1, width),
        "patch_embedding.proj.weight": (width, 3, 14, 14),
        "patch_embedding.proj.bias": (width,),
    }
    for at in range(layers):
        sizes = {
            "attention.dense": (width, width),
            "attention.query_key_value": (3 * width, width),
            "input_layernorm": (width,),
            "post_attention_layernorm": (width,),
            "mlp.fc1": (ff, width),
            "mlp.fc2": (width, ff),
        }
        for name, size in sizes.items():
            own = f"transformer.layers.{at}.{name}"
            shapes |= {f"{own}.weight": size, f"{own}.bias": size[:1]}
    return noise(shapes)


def qwen_decoder(settings):
    size, ff = settings["hidden_size"], settings["intermediate_size"] // 2
    mixed = settings["num_attention_heads"] * settings["kv_channels"]
    shapes = {
        "transformer.wte.weight": (settings["vocab_size"], size),
        "transformer.ln_f.weight": (size,),
        "lm_head.weight": (settings["vocab_size"], size),
    }
    for at in range(settings["num_hidden_layers"]):
        sizes = {
            "ln_1.weight": (size,),
            "ln_2.weight": (size,),
            "attn.c_attn.weight": (3 * mixed, size),
            "attn.c_attn.bias": (3 * mixed,),
            "attn.c_proj.weight": (size, mixed),
            "mlp.w1.weight": (ff, size),
            "mlp.w2.weight": (ff, size),
            "mlp.c_proj.weight": (size, ff),
        }
        shapes |= {f"transformer.h.{at}.{name}": size for name, size in sizes.items()}
    return noise(shapes)


def glm_decoder(settings):
    size, ff, words = (settings[k] for k in ("hidden_size", "ffn_hidden_size", "padded_vocab_size"))
    heads, head = settings["num_attention_heads"], settings["kv_channels"]
    groups = settings["multi_query_group_num"] if settings["multi_query_attention"] else heads
    fused = (heads + 2 * groups) * head
    shapes = {
        "transformer.embedding.word_embeddings.weight": (words, size),
        "transformer.encoder.final_layernorm.weight": (size,),
        "transformer.output_layer.weight": (words, size),
    }
    for at in range(settings["num_layers"]):
        sizes = {
            "input_layernorm.weight": (size,),
            "post_attention_layernorm.weight": (size,),
            "self_attention.query_key_value.weight": (fused, size),
            "self_attention.dense.weight": (size, heads * head),
            "mlp.dense_h_to_4h.weight": (2 * ff, size),
            "mlp.dense_4h_to_h.weight": (size, ff),
        }
        if settings["add_qkv_bias"]:
            sizes["self_attention.query_key_value.bias"] = (fused,)
        shapes |= {f"transformer.encoder.layers.{at}.{name}": size for name, size in sizes.items()}
    return noise(shapes)


def random_qwen(settings):
    """Weights of any size, at which every parameter and every norm's epsilon matters."""
    eyes = settings["visual"]
    sizes = (eyes["width"], eyes["layers"], int(eyes["width"] * eyes["mlp_ratio"]))
    tower = qwen_tower(*sizes, eyes["output_dim"], eyes["n_queries"])
    tower = {f"transformer.visual.{name}": value for name, value in tower.items()}
    return tuned(qwen_decoder(settings) | tower)


def random_glm(settings):
    """As `random_qwen`."""
    eyes = settings["vision_config"]
    tower = glm_tower(patches=(eyes["image_size"] // eyes["patch_size"]) ** 2)
    tower = {f"transformer.vision.{name}": value for name, value in tower.items()}
    return tuned(glm_decoder(settings) | tower)


def tuned(weights):
    """Noise at another size: what a norm reads is small, so that its epsilon shows."""
    for name, value in weights.items():
        fan_in = value[0].numel() if value.dim() > 1 else 100
        value = value * 10 / fan_in**0.5
        if NORM.search(name):
            value = 1 + 3 * value
        weights[name] = value * 0.02 if QUIET.search(name) else value
    return weights


def qwen_weights():
    tower = {f"transformer.visual.{name}": value for name, value in qwen_tower().items()}
    return load_arrays("tiny_qwen_weights") | tower


def glm_weights():
    tower = {f"transformer.vision.{name}": value for name, value in glm_tower().items()}
    return load_arrays("tiny_glm_weights") | tower


def write_config(folder, settings):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))


def write_qwen(folder, settings=QWEN, weights=None, *, ranks=None):
    """A whole checkpoint, its weights in two files."""
    write_config(folder, settings)
    write_ranks(folder / "qwen.tiktoken", ranks or settings["visual"]["image_start_id"] - 214)
    write_shards(folder, weights or qwen_weights())


def write_glm(folder, settings=GLM, weights=None, *, ranks=None):
    """A whole checkpoint, its weights in two files."""
    write_config(folder, settings)
    first = ranks or settings["boi_token_id"] - 10
    write_ranks(folder / "tokenizer.model", first)
    added = {str(first + at): {"content": token} for at, token in enumerate(GLM_TOKENS)}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    write_shards(folder, weights or glm_weights())


def write_shards(folder, weights, *, pickled=False):
    """Weights in two files with their index, as they are published."""
    names, end = sorted(weights), "bin" if pickled else "safetensors"
    stem = "pytorch_model" if pickled else "model"
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    where = {}
    for at, half in enumerate(halves, start=1):
        file = f"{stem}-{at:05d}-of-00002.{end}"
        part = {name: weights[name].contiguous() for name in half}
        if pickled:
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file)
        where |= dict.fromkeys(half, file)
    (folder / f"{stem}.{end}.index.json").write_text(json.dumps({"weight_map": where}))


def vision_sizes(family):
    return load_json("vision_configs")[family]
