"""The ported models, through the converter, against a transcription of the originals."""

import dataclasses
from types import SimpleNamespace

import port_reference
import pytest
import torch
from memvr_models import batch, generate, triggers
from published import GLM, QWEN, random_glm, random_qwen, write_glm, write_qwen
from transformers import AutoModelForImageTextToText, AutoTokenizer

from memvr_integrations.memvr import MemVRConfig, retracing
from memvr_integrations.models.conversion import convert

STEPS = 3
NEVER = MemVRConfig(
    starting_layer=0,
    ending_layer=5,
    entropy_threshold=2.0,
    retracing_ratio=0.4,
    activation="silu",
    norm_before_head=False,
)
WIDE = {"hidden_size": 256, "num_attention_heads": 8, "kv_channels": 32, "intermediate_size": 128}
QWENS = {
    "published": {},
    "rotary_base": {"rotary_emb_base": 1_000_000},
    "image_112": {"visual": {"image_size": 112}},
    "image_70": {"visual": {"image_size": 70}},
    "queries_25": {"visual": {"n_queries": 25}},
    "resampler_heads": WIDE | {"visual": {"output_dim": 256}},
    "mlp_ratio": {"visual": {"width": 48, "heads": 3, "mlp_ratio": 4.9231}},
}
GLMS = {
    "published": {},
    "image_112": {"vision_config": {"image_size": 112}},
    "no_bias": {"add_qkv_bias": False},
    "rope_ratio": {"rope_ratio": 50},
    "groups_1": {"multi_query_group_num": 1},
    "groups_4": {"multi_query_group_num": 4, "num_attention_heads": 8},
    "kv_16": {"kv_channels": 16},
    "scaling_1": {"vision_config": {"scaling_factor": 1.0}},
    "heads_alone": {"multi_query_attention": False},
}
PORTS = [("qwen", name) for name in QWENS]
PORTS += [("glm", name) for name in GLMS]


def make_qwen(folder, change):
    eyes = QWEN["visual"] | change.get("visual", {})
    own = QWEN | {"num_hidden_layers": 6} | change | {"visual": eyes}
    weights = random_qwen(own)
    write_qwen(folder, own, weights)
    picture = [505, *[507] * eyes["n_queries"], 506]
    return port_reference.Qwen(own, weights, picture=507), picture, eyes["image_size"]


def make_glm(folder, change):
    eyes = GLM["vision_config"] | change.get("vision_config", {})
    own = GLM | {"num_layers": 6} | change | {"vision_config": eyes}
    weights = random_glm(own)
    write_glm(folder, own, weights)
    picture = [508] * ((eyes["image_size"] // eyes["patch_size"] // 2) ** 2 + 2)
    return port_reference.Glm(own, weights, picture=508), picture, eyes["image_size"]


@pytest.fixture(scope="module", params=PORTS, ids="-".join)
def port(request, tmp_path_factory):
    family, name = request.param
    folder = tmp_path_factory.mktemp(family)
    make, changes = {"qwen": (make_qwen, QWENS), "glm": (make_glm, GLMS)}[family]
    original, picture, side = make(folder / "published", changes[name])
    convert(folder / "published", folder / "ours", progress=False)
    model = AutoModelForImageTextToText.from_pretrained(folder / "ours", dtype="float32").eval()
    model.generation_config.eos_token_id = None
    one, other, *two = torch.randn(4, 1, 3, side, side, generator=torch.Generator().manual_seed(1))
    rows = [
        ([3, 60, *picture, 61, 62, 63, 64], one),
        ([*range(7, 16), *picture, 16, 17, 18], other),
        ([40, 41, 42], None),
    ]
    if family == "qwen":
        rows += [([70, 71, *picture, 72, 73, *picture, 74, 75], torch.cat(two))]
    never = [original.answer(*row, STEPS, NEVER) for row in rows]
    return SimpleNamespace(model=model, original=original, rows=rows, never=never)


def inputs(row):
    ids, pixels = torch.tensor([row[0]]), row[1]
    whole = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return whole if pixels is None else whole | {"pixel_values": pixels}


def together(port):
    """Each row alone, then all in one batch."""
    rows = [inputs(row) for row in port.rows]
    return [*(([at], row) for at, row in enumerate(rows)), (range(len(rows)), batch(rows))]


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_every_position_is_the_original(port):
    for numbers, prompt in together(port):
        with torch.no_grad():
            logits = port.model(**prompt).logits
        for out, number in zip(logits, numbers, strict=True):
            expected = port.never[number].prompt
            close(out[-len(expected) :], expected)


@pytest.mark.parametrize("retraces", ["off", "always"])
def test_answers_are_the_original(port, retraces):
    config, answers = None, port.never
    if retraces == "always":
        config = dataclasses.replace(NEVER, entropy_threshold=0.0)
        answers = [port.original.answer(*row, STEPS, config) for row in port.rows]
    compare(port, answers, config)


# Which layer triggers depends on no other settings than the published.
@pytest.mark.parametrize("port", [("qwen", "published"), ("glm", "published")], indirect=True)
def test_what_triggers_by_turns_is_the_original(port):
    highest = sorted(max(step.values()) for one in port.never for step in one.entropies if step)
    half = sum(highest[len(highest) // 2 - 1 :][:2]) / 2
    config = dataclasses.replace(NEVER, entropy_threshold=half)
    answers = [port.original.answer(*row, STEPS, config) for row in port.rows]
    seen = {trigger for one in answers for trigger in one.triggers if any(one.entropies)}
    assert None in seen
    assert len(seen) > 1
    compare(port, answers, config)


def compare(port, answers, config):
    for numbers, prompt in together(port):
        if config is None:
            ids, logits = generate(port.model, prompt, STEPS)
        else:
            with retracing(port.model, config) as trace:
                ids, logits = generate(port.model, prompt, STEPS)
        for row, number in enumerate(numbers):
            close(logits[row], answers[number].logits)
            assert ids[row].tolist() == answers[number].ids
            if config is not None:
                assert triggers(trace, row) == answers[number].triggers


@pytest.mark.parametrize(("make", "composes"), [(make_qwen, True), (make_glm, False)])
def test_only_qwen_composes_text(make, composes, tmp_path):
    make(tmp_path / "published", {})
    convert(tmp_path / "published", tmp_path / "ours", progress=False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "ours")
    apart, composed = tokenizer(["e\u0301", "\u00e9"], add_special_tokens=False).input_ids
    assert (apart == composed) is composes
