"""Tiny models, prompts and settings that the tests of the algorithm share."""

import functools
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.models.vision_language import CACHE

# Tiny matrices lose more by sharing them out than they gain.
torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden"
IMAGE_TOKEN = 511
IMAGE_TOKENS = 16
SHALLOW = 20  # layers: the furthest window of these tests ends there

ALWAYS = MemVRConfig(entropy_threshold=0.0, retracing_ratio=0.3)
NEVER = MemVRConfig(entropy_threshold=1.5, retracing_ratio=0.3)
SOMETIMES = MemVRConfig(entropy_threshold=0.75, retracing_ratio=0.3)


def load_json(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


@functools.cache
def load_arrays(name):
    return load_file(GOLDEN / f"{name}.safetensors")


@functools.cache
def tiny_llava():
    transformers.utils.logging.disable_progress_bar()
    model = transformers.LlavaForConditionalGeneration.from_pretrained(GOLDEN / "tiny_llava_hf")
    model.generation_config.eos_token_id = None
    return model.eval()


@functools.cache
def shallow_llava():
    """The same without its last layers, where nothing is compared with recordings."""
    transformers.utils.logging.disable_progress_bar()
    model = transformers.LlavaForConditionalGeneration.from_pretrained(GOLDEN / "tiny_llava_hf")
    model.generation_config.eos_token_id = None
    decoder = model.get_decoder()
    decoder.layers = decoder.layers[:SHALLOW]
    model.config.text_config.num_hidden_layers = SHALLOW
    return model.eval()


def pixels(*images):
    arrays = load_arrays("llava_public")
    return torch.stack([arrays[f"image.{image}.pixel_values"] for image in images])


def prompt(images, words, seed=0):
    """One row's inputs: a start token, each image and two words, then some words."""
    random = torch.Generator().manual_seed(seed)

    def text(count):
        return torch.randint(3, 500, (count,), generator=random)

    parts = [torch.tensor([1])]
    for _ in images:
        parts += [torch.full((IMAGE_TOKENS,), IMAGE_TOKEN), text(2)]
    ids = torch.cat([*parts, text(words)])[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if images:
        inputs["pixel_values"] = pixels(*images)
    return inputs


def batch(rows, side="left"):
    """Put single rows into one padded batch."""
    width = max(row["input_ids"].shape[1] for row in rows)

    def padded(name):
        values = torch.zeros(len(rows), width, dtype=torch.long)
        for out, row in zip(values, rows, strict=True):
            own = row[name][0]
            out[width - len(own) :] = own if side == "left" else out[width - len(own) :]
            if side == "right":
                out[: len(own)] = own
        return values

    inputs = {"input_ids": padded("input_ids"), "attention_mask": padded("attention_mask")}
    shown = [row["pixel_values"] for row in rows if "pixel_values" in row]
    if shown:
        inputs["pixel_values"] = torch.cat(shown)
    return inputs


def generate(model, inputs, tokens=4, **options):
    """Decode greedily; returns the new ids (rows, tokens) and the logits (rows, tokens, vocab)."""
    out = model.generate(
        **inputs,
        **{"max_new_tokens": tokens, "do_sample": False} | options,
        return_dict_in_generate=True,
        output_logits=True,
    )
    return out.sequences[:, inputs["input_ids"].shape[1] :], torch.stack(out.logits, 1)


def going_on(out):
    """The cache of an output, as an argument of the next call."""
    return {CACHE: out[CACHE]}


def triggers(trace, row=0):
    return [step.rows[row].trigger_layer for step in trace.steps]
