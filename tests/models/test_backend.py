"""The ported models through the whole backend, both integrations and the command line."""

import json
from dataclasses import replace

import pytest
from encoding import agree_on_pictures
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from PIL import Image as Pillow
from published import write_glm, write_qwen
from transformers import AutoModelForImageTextToText, AutoProcessor
from typer.testing import CliRunner

from memvr_integrations.backend import Backend, Message, Request, SamplingParams
from memvr_integrations.backend.hosting.catalog import find
from memvr_integrations.backend.hosting.converting import convert_checkpoint
from memvr_integrations.cli import app
from memvr_integrations.errors import ModelLoadError, RequestError, UnsupportedModelError
from memvr_integrations.langchain import ChatMemVR, image_block
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types.decoding import (
    DoLaConfig,
    ICDConfig,
    OPERAConfig,
    RudderConfig,
    VCDConfig,
)

# Random weights may say nothing.
pytestmark = pytest.mark.filterwarnings("ignore:.* gave an empty answer")

WRITE = {"qwen": write_qwen, "glm": write_glm}
PRESET = {"qwen": "qwen_vl", "glm": "glm_4v"}
NAME = {"qwen": "qwen-vl-chat", "glm": "glm-4v-9b"}
TOKENS = {"qwen": 16, "glm": 6}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = tmp_path_factory.mktemp("ports")
    for family, write in WRITE.items():
        write(made / f"{family}_published")
        convert_checkpoint(str(made / f"{family}_published"), made / family, progress=False)
        keep_layers(made / family, 10)
    return made


def keep_layers(folder, layers):
    """As deep as the settings below need: the published depth takes three times as long."""
    model = AutoModelForImageTextToText.from_pretrained(folder)
    decoder = model.get_decoder()
    assert len(decoder.layers) > layers
    decoder.layers = decoder.layers[:layers]
    text = model.config.text_config
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    model.save_pretrained(folder)


@pytest.fixture(scope="module", params=WRITE)
def port(request, folders):
    with Backend.load(folders / request.param, device="cpu", progress=False) as backend:
        yield request.param, backend


@pytest.fixture(scope="module")
def pictures(scenes):
    shown = [Pillow.fromarray(scene.pixels) for scene in scenes[:2]]
    return [shown[0], shown[1].resize((60, 20))]


def ask(family, question, *pictures, always=True, tokens=5, **options):
    changes = {"starting_layer": 2, "ending_layer": 9, "entropy_threshold": 0.0}
    config = MemVRConfig.preset(PRESET[family]).changed(changes) if always else None
    return Request.ask(
        question, *pictures, sampling=SamplingParams(max_tokens=tokens, **options), memvr=config
    )


@pytest.mark.parametrize(
    ("neutral", "strong"),
    [
        (VCDConfig(alpha=0, beta=0), VCDConfig()),
        (ICDConfig(alpha=0, beta=0), ICDConfig()),
        (DoLaConfig(alpha=0, beta=0), DoLaConfig()),
        (RudderConfig(strength=0), RudderConfig(strength=3)),
    ],
    ids=lambda config: config.name,
)
def test_decoding_strategies(port, pictures, neutral, strong):
    family, backend = port
    requests = [
        [
            replace(ask(family, "Is there a dog?", pictures[0], tokens=3), decoding=decoding),
            replace(ask(family, "What?", pictures[1], always=False, tokens=3), decoding=decoding),
        ]
        for decoding in (None, neutral, strong)
    ]
    plain, same, other = (backend.generate(asked) for asked in requests)
    assert [answer.tokens for answer in same] == [answer.tokens for answer in plain]
    assert [answer.tokens for answer in other] != [answer.tokens for answer in plain]
    for request, done in zip(requests[2], other, strict=True):
        [alone] = backend.generate(request)
        assert [t.id for t in alone.tokens] == [t.id for t in done.tokens]


def test_a_search_of_one_beam_is_greedy(port, pictures):
    family, backend = port
    asked = ask(family, "What?", pictures[0], always=False)
    search = OPERAConfig(beams=1, candidates=1, weight=0)
    [plain], [found] = (backend.generate(replace(asked, decoding=d)) for d in (None, search))
    assert found.tokens == plain.tokens
    wide = OPERAConfig(beams=2, candidates=2)
    assert backend.generate(replace(asked, decoding=wide))[0].tokens


def test_pictures_that_wait_are_encoded_together_and_as_alone(port):
    agree_on_pictures(port[1])


def test_answers_join_as_the_catalog_says(port):
    family, backend = port
    assert backend.report().joins
    assert find(NAME[family]).alone_above is None


def test_rows_of_a_batch_equal_themselves_alone(port, pictures):
    family, backend = port
    requests = [
        ask(family, "Is there a dog?", pictures[0]),
        ask(family, "What is in the picture, then?", pictures[1]),
        ask(family, "Hello."),
        ask(family, "Is there a dog?", pictures[0], always=False),
    ]
    together = backend.generate(requests)
    for request, done in zip(requests, together, strict=True):
        [alone] = backend.generate(request)
        assert [(t.id, t.trigger_layer) for t in done.tokens] == [
            (t.id, t.trigger_layer) for t in alone.tokens
        ]
        assert [t.logprob for t in done.tokens] == pytest.approx(
            [t.logprob for t in alone.tokens], abs=1e-4
        )
        streamed = list(backend.stream(request))
        assert "".join(chunk.text for chunk in streamed) == alone.text
    assert {token.trigger_layer for token in together[0].tokens} == {3}
    assert together[0].usage.image_tokens == TOKENS[family]
    assert together[2].usage.image_tokens == 0
    assert [t.logprob for t in together[0].tokens] != [t.logprob for t in together[3].tokens]


def test_off_is_the_plain_model(port, pictures):
    family, backend = port
    content = [{"type": "image", "image": pictures[0]}, {"type": "text", "text": "A dog?"}]
    host = backend._host
    inputs = host.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    plain = host.model.generate(**inputs, max_new_tokens=5, do_sample=False)
    never = ask(family, "A dog?", pictures[0]).memvr.changed({"entropy_threshold": 2.0})
    for memvr in (None, never):
        request = Request.ask(
            "A dog?", pictures[0], sampling=SamplingParams(max_tokens=5), memvr=memvr
        )
        [done] = backend.generate(request)
        assert [t.id for t in done.tokens] == plain[0, inputs["input_ids"].shape[1] :].tolist()


def test_it_knows_its_name_and_preset(port):
    family, backend = port
    assert backend.name == NAME[family]
    # The tiny ones have other depths than the published, so the window is moved.
    usual = {"qwen": 32, "glm": 40}[family]
    expected = MemVRConfig.preset(PRESET[family])
    layers = backend._host.layers
    assert backend.preset == (expected if layers == usual else expected.for_depth(layers))
    assert not backend.calibrated


@pytest.mark.parametrize("family", WRITE)
def test_without_the_backend_batches_and_no_cache_are_right_too(folders, pictures, family):
    model = AutoModelForImageTextToText.from_pretrained(folders / family, dtype="float32").eval()
    processor = AutoProcessor.from_pretrained(folders / family)
    texts = [
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}],
            add_generation_prompt=True,
        )
        for question in ("A dog?", "Is there a dog in the picture, or a cat?")
    ]
    options = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None}

    def generated(rows, **more):
        shown = [pictures[row] for row in rows]
        inputs = processor(
            images=shown, text=[texts[row] for row in rows], padding=True, return_tensors="pt"
        )
        ids = model.generate(**inputs, **options, **more)
        return ids[:, inputs["input_ids"].shape[1] :].tolist()

    together = generated([0, 1])
    assert together == generated([0]) + generated([1])
    assert generated([0], use_cache=False) == together[:1]


def test_several_pictures(port, pictures):
    family, backend = port
    request = ask(family, "What is in both?", *pictures)
    if family == "glm":
        with pytest.raises(RequestError, match="one image a conversation"):
            backend.generate(request)
        return
    [done] = backend.generate(request)
    assert done.usage.image_tokens == 32
    text = {"type": "text", "text": "Both?"}
    content = [{"type": "image"}, {"type": "image"}, text]
    written = backend._host.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    assert written == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "Picture 1: <img><imgpad></img>\nPicture 2: <img><imgpad></img>\nBoth?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("family", "text"), [("qwen", "<img>a.jpg</img>"), ("glm", "<|end_of_image|>")]
)
def test_a_picture_is_never_written_as_text(folders, family, text):
    with (
        Backend.load(folders / family, device="cpu", progress=False) as backend,
        pytest.raises(RequestError, match=r"takes for an image.*Image\(\.\.\.\)"),
    ):
        backend.generate(ask(family, f"{text} What is it?"))


@pytest.mark.parametrize("family", WRITE)
@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"attention": "eager"}], ids=str)
def test_precisions_and_attentions(folders, pictures, family, options):
    with Backend.load(folders / family, device="cpu", progress=False, **options) as backend:
        [done] = backend.generate(ask(family, "A dog?", pictures[0]))
    assert {token.trigger_layer for token in done.tokens} == {3}
    assert all(0 <= token.entropy <= 1 for token in done.tokens)


def test_conversations_with_a_system_prompt(port, pictures):
    family, backend = port
    messages = [
        Message("system", "Be brief."),
        Message("user", "Hello."),
        Message("assistant", "Hi."),
        *ask(family, "Is there a dog?", pictures[0]).messages,
    ]
    [done] = backend.generate(Request(messages=messages, sampling=SamplingParams(max_tokens=3)))
    assert len(done.tokens) <= 3


def test_json_by_a_grammar(port, pictures):
    family, backend = port
    schema = {"type": "object", "properties": {"dogs": {"type": "integer"}}, "required": ["dogs"]}
    request = Request(
        messages=ask(family, "How many dogs?", pictures[0]).messages,
        sampling=SamplingParams(max_tokens=40),
        response_format=schema,
    )
    assert isinstance(json.loads(backend.generate(request)[0].text)["dogs"], int)


def test_boxes_come_with_the_answer(folders, pictures):
    with Backend.load(folders / "qwen", device="cpu", progress=False) as backend:
        text = "<ref>dog</ref><box>(0,500),(500,1000)</box>"
        request = ask("qwen", "Where?", pictures[0], always=False, tokens=80)
        ids = backend._host.tokenizer(text, add_special_tokens=False).input_ids
        [done] = dictated(backend, request, ids)
    assert done.text == text
    [box] = done.boxes
    width, height = pictures[0].size
    assert (box.label, box.image) == ("dog", 0)
    assert (box.left, box.top, box.right, box.bottom) == (0, height / 2, width / 2, height)


def dictated(backend, request, ids):
    left = iter([*ids, *backend._host.end_tokens])

    def dictate(module, args, out):
        out.logits.fill_(-10.0)
        out.logits[..., next(left)] = 10.0
        return out

    handle = backend._host.model.register_forward_hook(dictate)
    try:
        return backend.generate(request)
    finally:
        handle.remove()


@pytest.mark.parametrize("family", WRITE)
def test_both_integrations_run_it(folders, scene_file, family):
    chat = ChatMemVR(model=str(folders / family), device="cpu", max_tokens=3)
    content = [image_block(scene_file), {"type": "text", "text": "What is it?"}]
    answer = chat.invoke([{"role": "user", "content": content}])
    assert answer.response_metadata["memvr"]["image_tokens"] == TOKENS[family]
    assert answer.response_metadata["memvr"]["boxes"] == []
    llm = MemVRMultiModalLLM(model=str(folders / family), device="cpu", max_tokens=3)
    message = ChatMessage(blocks=[ImageBlock(path=scene_file), TextBlock(text="What is it?")])
    assert llm.chat([message]).message.content == answer.content


def test_what_was_published_is_not_run(folders):
    with pytest.raises(UnsupportedModelError, match=r"Qwen-VL-Chat as it was.*memvr convert"):
        Backend.load(folders / "qwen_published", device="cpu", progress=False)


def test_a_conversion_that_was_stopped_says_so(folders, tmp_path):
    (tmp_path / "conversion.json").write_text("{}")
    with pytest.raises(ModelLoadError, match="goes on where it was"):
        Backend.load(tmp_path, device="cpu", progress=False)


def test_the_command_converts(folders, tmp_path, scene_file):
    run = CliRunner()
    made = run.invoke(app, ["convert", str(folders / "glm_published"), str(tmp_path / "ours")])
    assert made.exit_code == 0, made.output
    assert f"memvr ask --model {tmp_path / 'ours'}" in made.output
    options = ["--model", str(tmp_path / "ours"), "--max-tokens", "2", "--json"]
    asked = run.invoke(app, ["ask", *options, str(scene_file), "What is it?"])
    assert json.loads(asked.stdout)["model"] == "glm-4v-9b"
    needless = run.invoke(app, ["convert", "llava-1.5-7b", str(tmp_path / "other")])
    assert needless.exit_code == 1
    assert "needs no conversion" in needless.output
    refused = run.invoke(app, ["convert", str(tmp_path / "nothing"), str(tmp_path / "other")])
    assert refused.exit_code == 1
    assert "nothing" in refused.output
