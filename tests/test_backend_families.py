"""The backend with other families than LLaVA.

SmolVLM's cuts an image into tiles; Gemma 3 has all images of a prompt in one tensor.
"""

import pytest
import torch
from PIL import Image as Pillow
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
)

from memvr_integrations.backend import Backend, Request, SamplingParams
from memvr_integrations.backend.loading import LoadedModel
from memvr_integrations.bundled.model import build_tokenizer
from memvr_integrations.memvr import MemVRConfig

# What the published checkpoints have, by structure: a turn a line, images in the text's order.
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %}{{ ' ' + part['text'] }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
SIDE = 28  # of a tile; 4 patches of 7 pixels, shuffled 2 x 2 into 4 tokens
ALWAYS = MemVRConfig(starting_layer=0, ending_layer=4, entropy_threshold=0.0, retracing_ratio=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    special = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *tiles]
    tokenizer.add_special_tokens({"additional_special_tokens": [*special, "<|im_start|>"]})
    text = {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 6,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": len(tokenizer),
        "pad_token_id": 0,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 7,
    }
    config = Idefics3Config(
        text_config=text,
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    path = tmp_path_factory.mktemp("idefics3")
    Idefics3ForConditionalGeneration(config).save_pretrained(path)
    processor = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}
    )
    Idefics3Processor(
        processor, tokenizer, image_seq_len=4, chat_template=TEMPLATE
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def tiled(folder):
    with Backend.load(folder, device="cpu", progress=False) as backend:
        yield backend


def picture(seed, size):
    pixels = torch.randint(0, 256, (*size, 3), generator=torch.Generator().manual_seed(seed))
    return Pillow.fromarray(pixels.to(torch.uint8).numpy())


SQUARE, WIDE = picture(0, (60, 60)), picture(1, (30, 60))


def ask(question, *images, memvr=ALWAYS, tokens=6):
    return Request.ask(question, *images, sampling=SamplingParams(max_tokens=tokens), memvr=memvr)


def same(one, other):
    assert [(t.id, t.trigger_layer) for t in one.tokens] == [
        (t.id, t.trigger_layer) for t in other.tokens
    ]
    assert [t.logprob for t in one.tokens] == pytest.approx(
        [t.logprob for t in other.tokens], abs=1e-4
    )


def test_off_equals_generate(tiled):
    host = tiled._host
    content = [{"type": "image", "image": SQUARE}, {"type": "text", "text": "What is it?"}]
    inputs = host.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    plain = host.model.generate(**inputs, max_new_tokens=6, do_sample=False)
    [done] = tiled.generate(ask("What is it?", SQUARE, memvr=None))
    new = plain[0, inputs["input_ids"].shape[1] :].tolist()
    assert [token.id for token in done.tokens] == new[: len(done.tokens)]
    # 2 x 2 tiles and the whole image, 4 tokens each
    assert done.usage.image_tokens == 20
    assert done.usage.prompt_tokens == inputs["input_ids"].shape[1]


def test_rows_of_a_batch_equal_themselves_alone(tiled):
    requests = [
        ask("What is it?", SQUARE),
        ask("And here, please?", WIDE, SQUARE),
        ask("No image."),
        ask("What is it?", WIDE, memvr=None),
    ]
    before = tiled.batches
    together = tiled.generate(requests)
    assert tiled.batches == before + 1
    for request, done in zip(requests, together, strict=True):
        same(done, tiled.generate(request)[0])
    assert all(token.trigger_layer is not None for token in together[1].tokens)
    assert all(token.trigger_layer is None for token in together[2].tokens)


def test_each_image_is_encoded_once(tiled):
    fresh = picture(7, (60, 60))
    before = tiled.images_encoded
    tiled.generate([ask("One?", fresh), ask("Two?", fresh), ask("Three?", fresh, fresh)])
    assert tiled.images_encoded == before + 1


def test_the_preset_is_moved_to_the_depth_and_says_so(tiled):
    assert not tiled.calibrated
    assert tiled.preset == MemVRConfig.preset("llava").for_depth(6)


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    torch.manual_seed(1)
    tokenizer = build_tokenizer()
    names = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<img>"}
    tokenizer.add_special_tokens({"additional_special_tokens": list(names.values())})
    for name, token in names.items():
        setattr(tokenizer, name, token)
        setattr(tokenizer, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
    text = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 6,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": len(tokenizer),
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 7,
    }
    model = Gemma3ForConditionalGeneration(
        Gemma3Config(
            text_config=text,
            vision_config=vision,
            mm_tokens_per_image=4,
            boi_token_index=tokenizer.boi_token_id,
            eoi_token_index=tokenizer.eoi_token_id,
            image_token_index=tokenizer.image_token_id,
        )
    ).eval()
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.2)
    processor = Gemma3Processor(
        Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE}),
        tokenizer,
        image_seq_length=4,
        chat_template=TEMPLATE.replace("<image>", "<boi>"),
    )
    loaded = LoadedModel(name="gemma", model=model, processor=processor, row=None)
    with Backend(loaded) as backend:
        yield backend


def test_a_family_with_all_images_in_one_tensor(gemma):
    requests = [ask("What is it?", SQUARE), ask("And here?", WIDE, SQUARE), ask("No image.")]
    together = gemma.generate(requests)
    for request, done in zip(requests, together, strict=True):
        same(done, gemma.generate(request)[0])
    assert together[0].usage.image_tokens == 4
    assert all(token.trigger_layer is not None for token in together[1].tokens)
