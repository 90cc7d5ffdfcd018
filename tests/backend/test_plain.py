"""Models that MemVR can't attach to: refused with the reason, or run plain.

Mllama has cross-attention, BLIP-2's OPT no `.mlp`, Florence-2 is an encoder-decoder.
"""

import asyncio

import pytest
import torch
from families import VISION
from PIL import Image as Pillow
from tiny_family import SIDE, TEXT, Family, turns
from transformers import AutoModelForImageTextToText

from memvr_integrations.backend import Backend, Request, SamplingParams
from memvr_integrations.backend.serving.registry import Registry, _load
from memvr_integrations.errors import RequestError, UnsupportedModelError
from memvr_integrations.langchain import ChatMemVR, image_block

REASONS = {
    "mllama": "has no `get_image_features`",
    "blip-2": "no decoder layers",
    "florence2": "no decoder layers",
}
MLLAMA = Family(
    config={
        "text_config": {name: value for name, value in TEXT.items() if name != "head_dim"}
        | {"cross_attention_layers": [1, 3]},
        "vision_config": {
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "vision_output_dim": 32,
            "intermediate_layers_indices": [0],
            "image_size": SIDE,
            "patch_size": 7,
            "max_num_tiles": 2,
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
    },
    ids={"image_token_index": "image_token"},
    tokens={"image_token": "<|image|>"},
    more_tokens=["<|python_tag|>"],
    images="MllamaImageProcessor",
    reads={"size": {"height": SIDE, "width": SIDE}, "max_image_tiles": 2},
    processor="MllamaProcessor",
    template=turns("<|image|>", "<ROLE>\n", "\n", "<assistant>\n", start="<s>"),
    square=1,
    wide=1,
)
BLIP = Family(
    config={
        "text_config": {
            "model_type": "opt",
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "ffn_dim": 48,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "max_position_embeddings": 512,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        "qformer_config": VISION
        | {"num_attention_heads": 2, "encoder_hidden_size": 16, "vocab_size": 50},
        "vision_config": VISION | {"num_attention_heads": 2, "image_size": SIDE, "patch_size": 7},
        "num_query_tokens": 4,
    },
    ids={"image_token_index": "own_token"},
    tokens={"own_token": "<image>"},
    images="BlipImageProcessor",
    reads={"size": {"height": SIDE, "width": SIDE}},
    processor="Blip2Processor",
    settings={"num_query_tokens": 4},
    template=None,
    square=4,
    wide=4,
)
FLORENCE = Family(
    config={
        "text_config": {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "max_position_embeddings": 512,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
        },
        "vision_config": {
            "depths": [1, 1],
            "patch_size": [7, 3],
            "patch_stride": [4, 2],
            "patch_padding": [3, 1],
            "patch_prenorm": [False, True],
            "embed_dim": [8, 16],
            "num_heads": [2, 2],
            "num_groups": [2, 2],
            "window_size": 4,
            "projection_dim": 32,
            "max_position_embeddings": 20,
        },
    },
    ids={"image_token_id": "image_token"},
    tokens={"image_token": "<image>"},
    images="CLIPImageProcessor",
    reads={
        "size": {"height": 32, "width": 32},
        "crop_size": {"height": 32, "width": 32},
        "image_seq_length": 17,
    },
    processor="Florence2Processor",
    template=None,
    square=17,
    wide=17,
)
FAMILIES = {"mllama": MLLAMA, "blip-2": BLIP, "florence2": FLORENCE}

# Mllama's own, in the oldest transformers that is supported.
pytestmark = pytest.mark.filterwarnings("ignore:`hidden_state` is deprecated:FutureWarning")


@pytest.fixture(scope="module", params=FAMILIES)
def plain(request, tmp_path_factory):
    folder = FAMILIES[request.param].save(request.param, tmp_path_factory.mktemp("plain"))
    with Backend.load(folder, device="cpu", memvr=None, progress=False) as backend:
        with torch.no_grad():
            for weight in backend._host.model.parameters():
                if weight.numel() == 1:  # Mllama's gates, closed before training
                    weight.fill_(1.0)
        yield request.param, folder, backend


def picture(scenes, number=0):
    return Pillow.fromarray(scenes[number].pixels)


def ask(question, *pictures, memvr=None, tokens=5):
    return Request.ask(question, *pictures, sampling=SamplingParams(max_tokens=tokens), memvr=memvr)


def test_it_is_refused_before_its_weights_are_read(plain, monkeypatch):
    name, folder, _ = plain

    def never(*args, **kwargs):
        raise AssertionError("weights were read")

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", never)
    with pytest.raises(UnsupportedModelError, match=rf"{REASONS[name]}.*memvr=None"):
        Backend.load(folder, device="cpu", progress=False)


def test_it_answers_as_transformers_does(plain, scenes):
    name, _, backend = plain
    host, shown = backend._host, picture(scenes)
    content = [{"type": "image", "image": shown}, {"type": "text", "text": "Is there a dog?"}]
    inputs = host.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=host.prompts.template,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    # One more than is compared: BART ends what is cut off with an end token.
    plainly = host.model.generate(**inputs, max_new_tokens=6, do_sample=False)
    [done] = backend.generate(ask("Is there a dog?", shown))
    written = 1 if name == "florence2" else inputs["input_ids"].shape[1]
    assert [token.id for token in done.tokens] == plainly[0, written : written + 5].tolist()
    assert done.usage.image_tokens == FAMILIES[name].square
    assert done.memvr is None
    other = Pillow.new("RGB", shown.size, "black")
    [changed] = backend.generate(ask("Is there a dog?", other))
    assert [t.logprob for t in changed.tokens] != [t.logprob for t in done.tokens]


def test_many_at_once_get_their_own_answers(plain, scenes):
    _, _, backend = plain
    requests = [ask("Is there a dog?", picture(scenes, n)) for n in range(3)]
    requests.append(ask("What is in the picture?", picture(scenes)))
    together = asyncio.run(backend.agenerate(requests))
    for request, done in zip(requests, together, strict=True):
        [alone] = backend.generate(request)
        assert [t.logprob for t in done.tokens] == [t.logprob for t in alone.tokens]
        streamed = "".join(chunk.text for chunk in backend.stream(request))
        assert streamed == alone.text


def test_memvr_is_refused_a_request_at_a_time(plain, scenes):
    name, _, backend = plain
    with pytest.raises(UnsupportedModelError, match=REASONS[name]):
        backend.generate(ask("A dog?", picture(scenes), memvr=True))


def test_no_picture_is_lost(plain, scenes):
    name, _, backend = plain
    two = ask("A dog?", picture(scenes), picture(scenes, 1))
    if name == "mllama":
        assert backend.generate(two)[0].usage.image_tokens == 2
        assert backend.generate(ask("Hello."))[0].tokens
        return
    with pytest.raises(RequestError, match="answers about one picture"):
        backend.generate(two)
    with pytest.raises(RequestError, match="answers about one picture"):
        backend.generate(ask("Hello."))


def test_chat_runs_it_plain_and_says_why_not_otherwise(plain, scene_file):
    name, folder, _ = plain
    question = {"type": "text", "text": "A dog?"}
    messages = [{"role": "user", "content": [image_block(scene_file), question]}]
    with pytest.raises(UnsupportedModelError, match=REASONS[name]):
        ChatMemVR(model=str(folder), device="cpu").invoke(messages)
    chat = ChatMemVR(model=str(folder), device="cpu", memvr=None, max_tokens=3)
    assert chat.invoke(messages).response_metadata["memvr"]["config"] is None
    # What is in memory already is not loaded again, and refuses as well.
    with pytest.raises(UnsupportedModelError, match=REASONS[name]):
        ChatMemVR(model=str(folder), device="cpu").invoke(messages)


def test_one_model_in_memory_with_memvr_and_without(scene_file):
    loaded = []

    def load(name, config):
        loaded.append(config.memvr)
        return _load(name, config)

    registry = Registry(load)
    with_it, without = (ChatMemVR(model="bundled", device="cpu", memvr=m) for m in (True, None))
    for chat in (without, with_it):
        chat._leases = type(chat._leases)(registry)
        chat.invoke("Hello.")
    assert loaded == [False]
