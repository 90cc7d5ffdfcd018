"""The ported models against recordings of the original code, through the converter."""

import dataclasses

import pytest
import torch
from memvr_models import generate, load_arrays, load_json
from published import GLM, QWEN, noise, vision_sizes, write_glm, write_qwen
from transformers import AutoModelForImageTextToText
from transformers.modeling_outputs import BaseModelOutputWithPooling

from memvr_integrations.memvr import MemVRConfig, retracing
from memvr_integrations.models.conversion import convert

WRITE = {"qwen": write_qwen, "glm": write_glm}
FEW = 4  # tokens: with MemVR as many are compared as were recorded
CASES = [(family, name) for family in WRITE for name in load_json(f"{family}_public")]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}
    for family, write in WRITE.items():
        folder = tmp_path_factory.mktemp(family)
        write(folder / "published")
        convert(folder / "published", folder / "ours", progress=False)
        model = AutoModelForImageTextToText.from_pretrained(folder / "ours", dtype="float32")
        model.generation_config.eos_token_id = None
        made[family] = model.eval()
    return made


def as_ours(family, ids, model):
    """The prompt with a place for each visual token, where the original has a span to replace."""
    row, place = ids[0].tolist(), model.config.image_token_id
    if family == "qwen":
        start, end = row.index(505), row.index(506)
        row[start + 1 : end] = [place] * (end - start - 1)
    else:
        start = row.index(508)
        row[start : start + 3] = [place] * 6
    return torch.tensor([row])


def run(models, family, name, config, tokens):
    model, arrays = models[family], load_arrays(f"{family}_public")
    ids = as_ours(family, arrays[f"{name}.input_ids"], model)
    visual = arrays[f"{name}.vision_token"].reshape(-1, 32)
    encoded = BaseModelOutputWithPooling(pooler_output=[visual])
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_encoder_outputs": {"image": encoded},
    }
    if config is None:
        return (*generate(model, inputs, tokens), None)
    with retracing(model, config) as trace:
        return (*generate(model, inputs, tokens), trace)


@pytest.mark.parametrize(("family", "name"), CASES)
def test_off_is_the_original(models, family, name):
    # Out of the box the original triggers and injects nothing, so what it recorded is off.
    off = "" if name.endswith("_outofbox") else "off_"
    arrays = load_arrays(f"{family}_public")
    recorded = arrays[f"{name}.{off}logits"][:FEW]
    ids, logits, _ = run(models, family, name, None, len(recorded))
    torch.testing.assert_close(logits[0], recorded, rtol=0, atol=1e-4)
    assert ids[0].tolist() == arrays[f"{name}.{off}generated_ids"].flatten()[:FEW].tolist()


@pytest.mark.parametrize(("family", "name"), [c for c in CASES if c[1].endswith("_adapt")])
def test_retracing_is_the_original(models, family, name):
    case, arrays = load_json(f"{family}_public")[name], load_arrays(f"{family}_public")
    config = dataclasses.replace(
        MemVRConfig.preset("qwen_vl" if family == "qwen" else "glm_4v"),
        **{
            key: case[key]
            for key in ("starting_layer", "ending_layer", "entropy_threshold", "retracing_ratio")
        },
    )
    ids, logits, trace = run(models, family, name, config, case["n_forwards"])
    steps = [step.rows[0] for step in trace.steps]
    triggered = [-1 if row.trigger_layer is None else row.trigger_layer for row in steps]
    assert triggered == case["event_layer"]
    assert ids.tolist() == case["generated_ids"]
    torch.testing.assert_close(logits[0], arrays[f"{name}.logits"], rtol=0, atol=1e-4)
    for at, row in enumerate(steps):
        for layer, entropy in row.entropies.items():
            recorded = arrays[f"{name}.entropy"][at, layer].item()
            assert entropy == pytest.approx(recorded, abs=2e-5)


def test_qwens_eyes_are_the_original(tmp_path):
    sizes, arrays = vision_sizes("qwen"), load_arrays("qwen_vision_public")
    visual = QWEN["visual"] | sizes | {"image_start_id": 505}
    settings = QWEN | {
        "hidden_size": 256,
        "kv_channels": 64,
        "num_hidden_layers": 1,
        "visual": visual,
    }
    tower = load_arrays("tiny_qwen_vision_weights").items()
    weights = {f"transformer.visual.{name}": value for name, value in tower}
    layer = "transformer.h.0"
    weights |= noise(
        {
            "transformer.wte.weight": (512, 256),
            "lm_head.weight": (512, 256),
            "transformer.ln_f.weight": (256,),
            f"{layer}.ln_1.weight": (256,),
            f"{layer}.ln_2.weight": (256,),
            f"{layer}.attn.c_attn.weight": (768, 256),
            f"{layer}.attn.c_attn.bias": (768,),
            f"{layer}.attn.c_proj.weight": (256, 256),
            f"{layer}.mlp.w1.weight": (48, 256),
            f"{layer}.mlp.w2.weight": (48, 256),
            f"{layer}.mlp.c_proj.weight": (256, 48),
        }
    )
    write_qwen(tmp_path / "published", settings, weights)
    eyes = opened(tmp_path).model.vision
    with torch.no_grad(), stages(eyes, "patches", "norm_pre", "resampler", "norm_post") as seen:
        output = eyes(arrays["pixel_values"])
    for stage, name in (("patches", "conv"), ("norm_pre", "ln_pre"), ("norm_post", "ln_post")):
        torch.testing.assert_close(seen[stage], arrays[name], rtol=0, atol=1e-4)
    torch.testing.assert_close(seen["resampler"], arrays["attn_pool"], rtol=0, atol=1e-4)
    torch.testing.assert_close(output, arrays["output"], rtol=0, atol=1e-4)


def test_glms_eyes_are_the_original(tmp_path):
    sizes, arrays = vision_sizes("glm"), load_arrays("glm_vision_public")
    size, ff = sizes["hidden_size"], sizes["ffn_hidden_size"]
    settings = GLM | {
        "hidden_size": size,
        "ffn_hidden_size": ff,
        "kv_channels": 16,
        "num_layers": 1,
        "vision_config": sizes["vision_config"],
    }
    tower = load_arrays("tiny_glm_vision_weights").items()
    weights = {f"transformer.vision.{name}": value for name, value in tower}
    layer = "transformer.encoder.layers.0"
    weights |= noise(
        {
            "transformer.embedding.word_embeddings.weight": (512, size),
            "transformer.output_layer.weight": (512, size),
            "transformer.encoder.final_layernorm.weight": (size,),
            f"{layer}.input_layernorm.weight": (size,),
            f"{layer}.post_attention_layernorm.weight": (size,),
            f"{layer}.self_attention.query_key_value.weight": (128, size),
            f"{layer}.self_attention.query_key_value.bias": (128,),
            f"{layer}.self_attention.dense.weight": (size, 64),
            f"{layer}.mlp.dense_h_to_4h.weight": (2 * ff, size),
            f"{layer}.mlp.dense_4h_to_h.weight": (size, ff),
        }
    )
    write_glm(tmp_path / "published", settings, weights)
    eyes = opened(tmp_path).model.vision
    with torch.no_grad(), stages(eyes, "adapter", "adapter.conv") as seen:
        output = eyes(arrays["pixel_values"])
    torch.testing.assert_close(seen["adapter.conv"], arrays["conv"], rtol=0, atol=1e-4)
    torch.testing.assert_close(seen["adapter"], arrays["linear_proj"], rtol=0, atol=1e-4)
    torch.testing.assert_close(output, arrays["output"], rtol=0, atol=1e-4)


def opened(folder):
    convert(folder / "published", folder / "ours", progress=False)
    return AutoModelForImageTextToText.from_pretrained(folder / "ours", dtype="float32").eval()


class stages:  # reads as a function
    """What some submodules gave."""

    def __init__(self, module, *names):
        self.seen = {}
        self.handles = [
            module.get_submodule(name).register_forward_hook(self._keep(name)) for name in names
        ]

    def _keep(self, name):
        def keep(module, args, out):
            self.seen[name] = out

        return keep

    def __enter__(self):
        return self.seen

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()
