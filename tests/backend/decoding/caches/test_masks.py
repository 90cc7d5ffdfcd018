"""Masks of uneven rows: each row sees what transformers shows it alone."""

import dataclasses
from collections.abc import Mapping

import pytest
import torch
from families import FAMILIES
from tiny_family import text
from transformers import AutoModelForCausalLM, Gemma2Config
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from worlds import noise

from memvr_integrations.backend import Backend, Request, SamplingParams
from memvr_integrations.backend.decoding.caches.masks import StepMasks
from memvr_integrations.backend.decoding.caches.slots import Lengths, SlotCache, prompt_cache
from memvr_integrations.backend.hosting.catalog import find
from memvr_integrations.models.vision_language import CACHE

WINDOW = 8
TINY = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
}
SUMS = {
    "linear_key_head_dim": 4,
    "linear_value_head_dim": 4,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 8,
    "shared_expert_intermediate_size": 8,
}
FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"
KINDS = {
    "whole": ("llama", {"num_hidden_layers": 2}),
    "windows": ("mistral", {"num_hidden_layers": 2, "sliding_window": WINDOW}),
    "mixed": (
        "gemma3_text",
        {
            "num_hidden_layers": 4,
            "sliding_window": WINDOW,
            "layer_types": [SLIDING, FULL, SLIDING, FULL],
        },
    ),
    "sums": ("qwen3_next", {"num_hidden_layers": 3, "layer_types": [LINEAR, FULL, LINEAR]} | SUMS),
}
LENGTHS = [[3, 20, 9], [12, 12], [4, 4, 4], [1, 7, 2], [8], [7, 8], [30, 1]]

each_kind = pytest.mark.parametrize("kind", KINDS)
each_attention = pytest.mark.parametrize("attention", ["eager", "sdpa"])


def make(kind, attention):
    name, settings = KINDS[kind]
    torch.manual_seed(0)
    config = CONFIG_MAPPING[name](**TINY, **settings)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()


def lengths_of(rows):
    lengths = Lengths()
    lengths.rows = list(rows)
    lengths.changed()
    return lengths


def tokens(length):
    return torch.arange(length)[None] % 40 + 1


def masks_alone(model, length):
    """What each layer is given at a row's newest position, where transformers makes the masks."""
    seen = []

    def note(layer, args, named):
        seen.append(named["attention_mask"])

    cache = prompt_cache(model.config)
    with torch.no_grad():
        model(input_ids=tokens(length), use_cache=True, **{CACHE: cache})
        handles = [
            layer.register_forward_pre_hook(note, with_kwargs=True) for layer in model.model.layers
        ]
        model(input_ids=tokens(1), use_cache=True, **{CACHE: cache})
    for handle in handles:
        handle.remove()
    return seen


def visible(mask, row, width):
    if mask is None:
        return torch.ones(width, dtype=torch.bool)
    shown = mask[row, 0, 0]
    return shown if shown.dtype == torch.bool else shown == 0


@each_kind
@each_attention
@pytest.mark.parametrize("rows", LENGTHS, ids=str)
def test_each_row_sees_what_it_sees_alone(kind, attention, rows):
    model = make(kind, attention)
    mask = StepMasks(model).of(lengths_of(rows), torch.device("cpu"))
    if len(set(rows)) == 1:  # what a window hides is left out
        assert mask is None or not any(one is not None for one in mask.values())
        return
    names = getattr(model.config, "layer_types", None) or [FULL] * len(model.model.layers)
    for row, length in enumerate(rows):
        for name, alone in zip(names, masks_alone(model, length), strict=True):
            own = mask[name] if isinstance(mask, Mapping) else mask
            if name == LINEAR:
                assert own is None
                continue
            shown = visible(own, row, max(rows) + 1)
            assert torch.equal(shown[: length + 1], visible(alone, 0, length + 1))
            assert own is None or not shown[length + 1 :].any()
            assert own is None or own.is_floating_point() == (attention == "eager")


@each_kind
@each_attention
@pytest.mark.parametrize("rows", [[3, 20, 9], [20, 20, 20], [5]], ids=str)
def test_the_model_computes_each_row_as_alone(kind, attention, rows):
    model = make(kind, attention)
    masks, slots = StepMasks(model), SlotCache(model.config)
    last = []
    with torch.no_grad():
        for length in rows:
            read = prompt_cache(model.config)
            model(input_ids=tokens(length), use_cache=True, **{CACHE: read})
            slots.join(read, [0], [tokens(length)[0]])
            alone = prompt_cache(model.config)
            model(input_ids=tokens(length), use_cache=True, **{CACHE: alone})
            last.append(alone)
        for step in range(4):
            new = torch.tensor([[5], [6], [7]])[: len(rows)] + step
            mask = masks.of(slots.lengths, new.device)
            positions = torch.tensor(slots.lengths.rows)[:, None]
            together = model(
                input_ids=new, attention_mask=mask, position_ids=positions, **{CACHE: slots}
            ).logits
            slots.advance()
            for row, cache in enumerate(last):
                alone = model(input_ids=new[row : row + 1], **{CACHE: cache}).logits
                torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


def test_flash_attention_is_given_the_columns_that_are_real():
    masks = StepMasks(make("whole", "sdpa"))
    masks.implementation = "flash_attention_2"
    assert masks.of(lengths_of([2, 2]), torch.device("cpu")) is None
    shown = masks.of(lengths_of([2, 0]), torch.device("cpu"))
    assert shown.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_what_cannot_be_masked_here_cannot_join():
    assert all(StepMasks(make(kind, "sdpa")).joinable for kind in KINDS)
    model = make("whole", "sdpa")
    model.config.layer_types = [FULL, "chunked_attention"]
    model.config.attention_chunk_size = 4
    assert not StepMasks(model).joinable
    model = make("whole", "sdpa")
    model.config._attn_implementation_internal = "flex_attention"
    assert not StepMasks(model).joinable


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_paligemma_2_answers_beyond_its_window(tmp_path):
    assert find("paligemma2-3b").alone_above == Gemma2Config().sliding_window
    first = FAMILIES["paligemma"]
    own = text(model_type="gemma2", sliding_window=20)
    family = dataclasses.replace(first, config=first.config | {"text_config": own})
    with Backend.load(family.save("paligemma", tmp_path), device="cpu", progress=False) as backend:
        sampling = SamplingParams(max_tokens=20)
        questions = ("What is it?", "Is there a dog, a cat or a cow?")
        requests = [Request.ask(one, *noise(1), sampling=sampling) for one in questions]
        together = backend.generate(requests)
        alone = [backend.generate(request)[0] for request in requests]
        decoder = backend._worker.decoder
        assert decoder.joinable
        assert decoder.masks.most == 20
    ids = [[token.id for token in answer.tokens] for answer in together]
    assert ids == [[token.id for token in answer.tokens] for answer in alone]
