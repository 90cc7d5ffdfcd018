"""Equality with recordings of the reference implementation (tests/golden, tiny random models)."""

import pytest
import torch
from memvr_models import generate, load_arrays, load_json, pixels, tiny_llava
from torch import nn
from torch.nn import functional

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import (
    MemVRConfig,
    Screen,
    StrictProbe,
    decide,
    layer_entropy,
    retrace,
    retracing,
    threshold_tensor,
)
from memvr_integrations.memvr.arming.magnitude import up_magnitude

LLAVA = {name: case for name, case in load_json("llava_public").items() if case["kind"] == "normal"}
# A window without a layer is an error here; the reference runs it plain.
EMPTY = {n for n, c in LLAVA.items() if c["ending_layer"] - c["starting_layer"] < 2}
# The reference leaves the ratio of its last layer at zero: it triggers there and does nothing.
BLUNT = {n for n, c in LLAVA.items() if 0.0 in c["effective_ratio"] and c["retracing_ratio"] > 0}
SETTINGS = ("starting_layer", "ending_layer", "entropy_threshold", "retracing_ratio")


def settings(case, **more):
    return MemVRConfig(**{name: case[name] for name in SETTINGS}, **more)


def inputs_of(name, case):
    ids = load_arrays("llava_public")[f"{name}.input_ids_hf"]
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": pixels(*case["images"]),
    }


def as_recorded(layer):
    return -1 if layer is None else layer


def check_entropies(trace, recorded):
    for at, step in enumerate(trace.steps):
        for layer, entropy in step.rows[0].entropies.items():
            assert entropy == pytest.approx(recorded[at, layer].item(), abs=2e-5)


WAYS = ["as it comes", "sync-free", "strict"]
FEW = 4  # tokens, of ways that part from the first in single steps alone


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", sorted(LLAVA.keys() - EMPTY - BLUNT))
def test_llava_case(name, way):
    case, arrays, head = LLAVA[name], load_arrays("llava_public"), tiny_llava().lm_head
    probe = StrictProbe(head, Screen(head.weight, None)) if way == "strict" else "exact"
    sync_free = way == "sync-free"
    tokens = case["max_new_tokens"] if way == WAYS[0] else min(FEW, case["max_new_tokens"])
    with retracing(tiny_llava(), settings(case), sync_free=sync_free, probe=probe) as trace:
        ids, logits = generate(tiny_llava(), inputs_of(name, case), tokens)
    triggered = [as_recorded(step.rows[0].trigger_layer) for step in trace.steps]
    assert triggered == case["trigger_layer"][:tokens]
    assert ids.tolist() == [one[:tokens] for one in case["generated_ids"]]
    torch.testing.assert_close(logits[0], arrays[f"{name}.logits"][:tokens], rtol=0, atol=1e-4)
    check_entropies(trace, arrays[f"{name}.entropy"])


@pytest.mark.parametrize("name", sorted(EMPTY))
def test_an_empty_window_is_an_error(name):
    with pytest.raises(ConfigError, match="No layer lies strictly between"):
        settings(LLAVA[name])


@pytest.mark.parametrize("name", sorted(BLUNT))
def test_the_last_layer_is_retraced_where_the_reference_does_nothing(name):
    case, arrays = LLAVA[name], load_arrays("llava_public")
    with retracing(tiny_llava(), settings(case)) as trace:
        _, logits = generate(tiny_llava(), inputs_of(name, case), 1)
    assert trace.steps[0].rows[0].trigger_layer == case["trigger_layer"][0]
    check_entropies(trace, arrays[f"{name}.entropy"])
    assert (logits[0, 0] - arrays[f"{name}.logits"][0]).abs().max() > 0.1


@pytest.mark.parametrize("name", ["p01_readme", "p09_ratio1"])
def test_a_whole_prompt_of_a_direct_call(name):
    case, arrays = LLAVA[name], load_arrays("llava_public")
    with retracing(tiny_llava(), settings(case)), torch.no_grad():
        logits = tiny_llava()(**inputs_of(name, case)).logits
    torch.testing.assert_close(logits[0], arrays[f"{name}.prefill_logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", sorted(LLAVA))
def test_memvr_off_is_the_reference_off(name):
    with torch.no_grad():
        logits = tiny_llava()(**inputs_of(name, LLAVA[name])).logits[0, -1]
    recorded = load_arrays("llava_public")[f"{name}.off_logits_step0"]
    torch.testing.assert_close(logits, recorded, rtol=0, atol=1e-4)


class QwenFFN(nn.Module):
    def __init__(self, weights, layer):
        super().__init__()
        for name in ("w1", "w2", "c_proj"):
            weight = weights[f"transformer.h.{layer}.mlp.{name}.weight"]
            self.register_module(name, linear(weight))

    def forward(self, x):
        return self.c_proj(self.w1(x) * functional.silu(self.w2(x)))


class GlmFFN(nn.Module):
    def __init__(self, weights, layer):
        super().__init__()
        for name in ("dense_h_to_4h", "dense_4h_to_h"):
            weight = weights[f"transformer.encoder.layers.{layer}.mlp.{name}.weight"]
            self.register_module(name, linear(weight))

    def forward(self, x):
        gate, up = self.dense_h_to_4h(x).chunk(2, dim=-1)
        return self.dense_4h_to_h(functional.silu(gate) * up)


def linear(weight):
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    made.weight = nn.Parameter(weight)
    return made


FAMILIES = {
    "qwen": (QwenFFN, "lm_head.weight"),
    "glm": (GlmFFN, "transformer.output_layer.weight"),
}
LAYERED = [(family, name) for family in FAMILIES for name in load_json(f"{family}_public")]


@pytest.mark.parametrize(("family", "name"), LAYERED)
def test_entropies_and_decisions_without_norm(family, name):
    case, arrays = load_json(f"{family}_public")[name], load_arrays(f"{family}_public")
    head = load_arrays(f"tiny_{family}_weights")[FAMILIES[family][1]]
    entropies = layer_entropy(arrays[f"{name}.layer_out_last_pos"] @ head.T)
    torch.testing.assert_close(entropies, arrays[f"{name}.entropy"], rtol=0, atol=2e-5)
    waiting = torch.ones(len(entropies), dtype=torch.bool)
    events = torch.full((len(entropies),), -1)
    threshold = threshold_tensor([case["entropy_threshold"]])
    for layer in range(case["starting_layer"] + 1, case["ending_layer"]):
        triggered = decide(entropies[:, layer], threshold, waiting)
        waiting, events = waiting & ~triggered, events.masked_fill(triggered, layer)
    assert events.tolist() == case["event_layer"]


@pytest.mark.parametrize(("family", "name"), LAYERED)
def test_retraced_ffn_outputs_under_silu(family, name):
    case, arrays = load_json(f"{family}_public")[name], load_arrays(f"{family}_public")
    weights, make = load_arrays(f"tiny_{family}_weights"), FAMILIES[family][0]
    visual = arrays[f"{name}.vision_token"].reshape(1, -1, 32)
    for recorded in case["recorded_injections"]:
        key = f"{name}.inj{recorded['index']}"
        ffn, x = make(weights, recorded["layer"]), arrays[f"{key}.mlp_in"]
        with torch.no_grad():
            out = retrace(
                x,
                ffn(x),
                visual,
                torch.tensor([case["retracing_ratio"]]),
                gain=up_magnitude(ffn) / visual.abs().mean((1, 2)),
                activation="silu",
            )
        torch.testing.assert_close(out, arrays[f"{key}.mlp_out"], rtol=0, atol=1e-5)
