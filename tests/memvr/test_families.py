"""Other families of models, tiny and random: the same hooks fit them all."""

import dataclasses

import pytest
import torch
import transformers
from memvr_models import generate, triggers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from memvr_integrations.memvr import MemVRConfig, retracing

VOCAB, IMAGE = 128, 127
TEXT = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
PATCHES = VISION | {"num_attention_heads": 2, "image_size": 28, "patch_size": 7}
MROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
SPECIAL = {"image_token_id": IMAGE, "video_token_id": 126}
QWEN = SPECIAL | {"vision_start_token_id": 125, "vision_end_token_id": 124}
GLM = SPECIAL | {
    "image_start_token_id": 125,
    "image_end_token_id": 124,
    "video_start_token_id": 123,
    "video_end_token_id": 122,
}


def configs():
    square = {"depth": 2, "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2}
    yield (
        "qwen2_vl",
        {
            "text_config": TEXT | {"rope_parameters": MROPE},
            "vision_config": square | {"embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2},
            **QWEN,
        },
    )
    yield (
        "qwen3_vl",
        {
            "text_config": TEXT | {"rope_parameters": MROPE | {"mrope_interleaved": True}},
            "vision_config": square
            | {
                "hidden_size": 16,
                "intermediate_size": 32,
                "out_hidden_size": 32,
                "deepstack_visual_indexes": [0],
                "num_position_embeddings": 64,
            },
            **QWEN,
        },
    )
    yield (
        "glm4v",
        {
            "text_config": TEXT | {"rope_parameters": MROPE | {"partial_rotary_factor": 1.0}},
            "vision_config": square
            | {
                "hidden_size": 16,
                "intermediate_size": 32,
                "out_hidden_size": 32,
                "image_size": 56,
            },
            **GLM,
        },
    )
    yield (
        "smolvlm",
        {
            "text_config": TEXT | {"model_type": "llama"},
            "vision_config": PATCHES,
            "image_token_id": IMAGE,
            "scale_factor": 2,
        },
    )
    yield (
        "internvl",
        {
            "text_config": TEXT | {"model_type": "qwen2"},
            "vision_config": PATCHES | {"image_size": [28, 28], "patch_size": [7, 7]},
            "image_token_id": IMAGE,
            "image_seq_length": 4,
        },
    )


FAMILIES = dict(configs())
GRIDS = ("qwen2_vl", "qwen3_vl", "glm4v")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    torch.manual_seed(0)
    config = CONFIG_MAPPING[request.param](**FAMILIES[request.param])
    model = transformers.AutoModelForImageTextToText.from_config(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            decoder = "language_model" in name or ".text_model." in name
            if weight.ndim == 2 and "vision" not in name and "visual" not in name and decoder:
                weight.normal_(0, 0.3)
            if "lm_head" in name:
                weight.normal_(0, 0.5)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return request.param, model


def row(family, images, words, seed):
    """One prompt: every image has four visual tokens."""
    random = torch.Generator().manual_seed(seed)
    words = torch.randint(3, 100, (words,), generator=random)
    inputs = {}
    if family in GRIDS:
        start, end = torch.tensor([125]), torch.tensor([124])
        inputs["pixel_values"] = torch.randn(images * 16, 3 * 2 * 14 * 14, generator=random)
        inputs["image_grid_thw"] = torch.tensor([[1, 4, 4]] * images)
    else:
        start = end = torch.tensor([7])
        shape = (1, images) if family == "smolvlm" else (images,)
        inputs["pixel_values"] = torch.randn(*shape, 3, 28, 28, generator=random)
    shown = [torch.cat([start, torch.full((4,), IMAGE), end]) for _ in range(images)]
    ids = torch.cat([torch.tensor([1]), *shown, words])[None]
    return inputs | tokens(family, ids, torch.ones_like(ids))


def tokens(family, ids, mask):
    typed = {"mm_token_type_ids": (ids == IMAGE).long()} if family in GRIDS else {}
    return {"input_ids": ids, "attention_mask": mask} | typed


def pair(family, one, two):
    width = max(one["input_ids"].shape[1], two["input_ids"].shape[1])

    def padded(name):
        rows = [torch.nn.functional.pad(x[name], (width - x[name].shape[1], 0)) for x in (one, two)]
        return torch.cat(rows)

    inputs = tokens(family, padded("input_ids"), padded("attention_mask"))
    for name in ("pixel_values", "image_grid_thw"):
        if name in one:
            inputs[name] = torch.cat([one[name], two[name]], 1 if one[name].ndim == 5 else 0)
    if family == "smolvlm":
        # This family wants as many images in each row, so both rows have one.
        inputs["pixel_values"] = torch.cat([one["pixel_values"], two["pixel_values"]])
    return inputs


def settings(model, inputs, **more):
    """A threshold that some decisions pass: the median of what an untriggered run probes."""
    never = MemVRConfig(starting_layer=0, ending_layer=5, entropy_threshold=2.0, **more)
    with retracing(model, never) as trace:
        generate(model, inputs, 4)
    seen = sorted(e for step in trace.steps for e in step.rows[0].entropies.values())
    return dataclasses.replace(never, entropy_threshold=seen[len(seen) // 2], retracing_ratio=0.4)


def test_off_is_plain_and_rows_are_alone(family):
    name, model = family
    one, two = row(name, 1, 5, 0), row(name, 1 if name == "smolvlm" else 2, 9, 1)
    both = pair(name, one, two)
    plain = generate(model, both, 4)
    with retracing(model, MemVRConfig(starting_layer=0, ending_layer=5, entropy_threshold=2.0)):
        assert torch.equal(generate(model, both, 4)[1], plain[1])
    config = settings(model, one, activation="silu")
    runs = []
    for sync_free in (False, True):
        with retracing(model, config, sync_free=sync_free, keep_where=True) as trace:
            runs.append(generate(model, both, 4))
    assert torch.equal(runs[0][1], runs[1][1])
    assert trace.retraced
    assert (runs[0][1] - plain[1]).abs().max() > 1e-2
    assert trace.memory.images == ((4,), (4,) if name == "smolvlm" else (4, 4))
    for at, single in enumerate((one, two)):
        with retracing(model, config) as own:
            ids, logits = generate(model, single, 4)
        assert triggers(own) == triggers(trace, at)
        torch.testing.assert_close(runs[0][1][at], logits[0], rtol=0, atol=2e-4)
        assert runs[0][0][at].tolist() == ids[0].tolist()


def test_a_direct_call_sees_its_images(family):
    name, model = family
    inputs = row(name, 1, 5, 0)
    config = MemVRConfig(starting_layer=0, ending_layer=5, entropy_threshold=0.0)
    with torch.no_grad():
        plain = model(**inputs).logits
        with retracing(model, config) as trace:
            armed = model(**inputs).logits
    assert triggers(trace) == [1]
    assert not torch.equal(plain, armed)
