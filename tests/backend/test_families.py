"""Every family through the whole backend: from the files of a checkpoint to the tokens given."""

import contextlib
import dataclasses
import itertools
import json
import re
from collections import Counter
from random import Random

import pytest
import torch
from families import FAMILIES
from llama_index.core.schema import ImageDocument
from PIL import Image as Pillow
from template_kinds import KINDS
from tiny_family import LAYERS
from waiting import eventually, idle

from memvr_integrations.backend import Backend, Image, Message, Request, SamplingParams, Tool
from memvr_integrations.backend.decoding import batch
from memvr_integrations.backend.hosting.prompts.conversation import plain_messages
from memvr_integrations.backend.hosting.prompts.templates import ChatTemplate
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.errors import RequestError, UnsupportedModelError
from memvr_integrations.langchain import ChatMemVR, image_block
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.memvr import MemVRConfig, blindfolded, retracing
from memvr_integrations.types import ToolCall

ALWAYS = MemVRConfig(
    starting_layer=0, ending_layer=LAYERS - 1, entropy_threshold=0.0, retracing_ratio=0.5
)
NEVER = dataclasses.replace(ALWAYS, entropy_threshold=2.0)
TOKENS = 4

# The processors of GLM and PaliGemma hand tensors to NumPy in a way that it will forbid.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=FAMILIES)
def name(request):
    if request.param == "gemma4":  # whose processor needed torchvision once
        pytest.importorskip("transformers.models.gemma4.processing_gemma4")
    return request.param


@pytest.fixture(scope="module")
def folder(name, tmp_path_factory):
    return FAMILIES[name].save(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def family(name):
    return FAMILIES[name]


@pytest.fixture(scope="module")
def backend(folder):
    with Backend.load(folder, device="cpu", progress=False) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def sometimes(backend):
    """Settings under which some decisions trigger and others don't, as a Qwen or GLM has them."""
    probing = dataclasses.replace(NEVER, activation="silu")
    inputs = processed(backend, "What is it?", SQUARE)
    eventually(lambda: idle(backend))
    with retracing(backend._host.model, probing) as trace:
        generated(backend, inputs)
    seen = sorted(e for step in trace.steps for e in step.rows[0].entropies.values())
    # In the widest gap of the middle, so that no rounding decides.
    middle = seen[len(seen) // 3 :]
    low, high = max(itertools.pairwise(middle), key=lambda pair: pair[1] - pair[0])
    return dataclasses.replace(probing, entropy_threshold=(low + high) / 2)


@pytest.fixture
def traces(monkeypatch):
    """The traces of all batches to come."""
    seen, arm = [], batch.retracing

    def noting(model, configs, *, memory):
        armed = arm(model, configs, memory=memory)
        enter = type(armed).__enter__

        class Noted:
            def __enter__(self):
                seen.append(enter(armed))
                return seen[-1]

            def __exit__(self, *error):
                return armed.__exit__(*error)

        return Noted()

    monkeypatch.setattr(batch, "retracing", noting)
    return seen


def picture(seed, size):
    pixels = torch.randint(0, 256, (*size, 3), generator=torch.Generator().manual_seed(seed))
    return Pillow.fromarray(pixels.to(torch.uint8).numpy())


SQUARE, WIDE = picture(0, (60, 60)), picture(1, (30, 60))


def ask(question, *images, memvr=ALWAYS):
    return Request.ask(question, *images, sampling=SamplingParams(max_tokens=TOKENS), memvr=memvr)


def processed(backend, question, *images):
    """All that the processor makes of a question, pixels included."""
    content = [{"type": "image", "image": image} for image in images]
    inputs = backend._host.processor.apply_chat_template(
        [{"role": "user", "content": [*content, {"type": "text", "text": question}]}],
        chat_template=backend._host.prompts.template,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    inputs.pop("labels", None)  # for training
    return inputs


@torch.no_grad()
def generated(backend, inputs):
    """What plain `generate` gives: ids and their logprobs.

    Random weights may say the end's token, which one depends on how a machine rounds.
    """
    eventually(lambda: idle(backend))
    out = backend._host.model.generate(
        **inputs,
        max_new_tokens=TOKENS,
        do_sample=False,
        eos_token_id=sorted(backend._host.end_tokens) or None,
        return_dict_in_generate=True,
        output_scores=True,
    )
    ids = out.sequences[0, inputs["input_ids"].shape[1] :]
    scores = torch.cat(out.scores)
    return list(
        zip(
            ids.tolist(),
            (scores[range(len(ids)), ids] - scores.logsumexp(-1)).tolist(),
            strict=True,
        )
    )


def tokens_of(done):
    return [(token.id, token.logprob) for token in done.tokens]


def same(one, other):
    assert [(t.id, t.trigger_layer) for t in one.tokens] == [
        (t.id, t.trigger_layer) for t in other.tokens
    ]
    assert [t.logprob for t in one.tokens] == pytest.approx(
        [t.logprob for t in other.tokens], abs=1e-4
    )


def kinds(family):
    """The pictures of a request of each kind."""
    return [(SQUARE,), (WIDE,), (SQUARE, WIDE), *([()] if family.text_alone else [])]


def test_off_and_never_are_generate_on_all_that_the_processor_makes(backend, family):
    for images in kinds(family):
        plain = generated(backend, processed(backend, "What is it?", *images))
        [off] = backend.generate(ask("What is it?", *images, memvr=None))
        [never] = backend.generate(ask("What is it?", *images, memvr=NEVER))
        assert tokens_of(off) == tokens_of(never)
        if len(images) < 2:
            assert tokens_of(off) == plain
            continue
        # We encode one picture at a time, which some towers round otherwise than two at once.
        assert [id for id, _ in tokens_of(off)] == [id for id, _ in plain]
        assert [p for _, p in tokens_of(off)] == pytest.approx([p for _, p in plain], abs=1e-5)


def test_the_preset_is_moved_to_the_depth_and_says_so(backend):
    assert not backend.calibrated
    assert backend.preset == MemVRConfig.preset("llava").for_depth(LAYERS)


def test_the_visual_tokens_are_counted(backend, family, traces):
    both = family.both or family.square + family.wide
    for images, expected in zip(kinds(family), (family.square, family.wide, both, 0), strict=False):
        traces.clear()
        [done] = backend.generate(ask("What is it?", *images))
        assert done.usage.image_tokens == expected
        inputs = processed(backend, "What is it?", *images)
        assert done.usage.prompt_tokens == inputs["input_ids"].shape[1]
        assert [sum(trace.memory.images[0]) for trace in traces] == [expected] * bool(images)


def test_it_triggers_and_that_changes_the_answer(backend):
    [on], [off] = (backend.generate(ask("What is it?", SQUARE, memvr=m)) for m in (ALWAYS, None))
    assert {token.trigger_layer for token in on.tokens} == {1}
    assert on.tokens[0].logprob != off.tokens[0].logprob


def test_rows_of_a_batch_equal_themselves_alone(backend, family, sometimes):
    requests = [
        ask("What is it?", SQUARE, memvr=sometimes),
        ask("And here, please, is there a dog?", WIDE, SQUARE, memvr=sometimes),
        ask("What is it?", WIDE, memvr=None),
        *([ask("No picture.", memvr=sometimes)] if family.text_alone else []),
        ask("What is it?", WIDE, memvr=sometimes),
    ]
    before = backend.batches
    together = backend.generate(requests)
    assert backend.batches == before + 1
    for request, done in zip(requests, together, strict=True):
        same(done, backend.generate(request)[0])
    layers = {token.trigger_layer for done in together for token in done.tokens}
    assert len(layers) > 1


def test_the_stream_is_the_answer(backend):
    request = ask("What is it?", SQUARE, WIDE)
    chunks = list(backend.stream(request))
    [done] = backend.generate(request)
    assert "".join(chunk.text for chunk in chunks) == done.text
    assert chunks[-1].completion == done


def test_nothing_stays_for_the_next_request(backend, family):
    text, shown = ask("Is there a dog?"), ask("What is it?", SQUARE, WIDE)
    if not family.text_alone:
        with pytest.raises(RequestError, match="about pictures: send one with the question"):
            backend.generate(text)
        return
    plain = generated(backend, processed(backend, "Is there a dog?"))
    [first] = backend.generate(shown)
    for _ in range(2):
        [again] = backend.generate(text)
        assert tokens_of(again) == plain
        assert backend.generate(shown) == [first]


def test_each_picture_is_encoded_once(backend, family):
    fresh, other = picture(7, (60, 60)), picture(8, (30, 60))
    before = backend.images_encoded
    backend.generate([ask("One?", fresh), ask("Two?", fresh), ask("Three?", fresh)])
    assert backend.images_encoded == before + 1
    backend.generate([ask("Four?", other, other), ask("Five?", other, other)])
    assert backend.images_encoded == before + 2
    # LLaVA-OneVision sees a picture in company otherwise than alone.
    backend.generate(ask("Six?", fresh, other))
    assert backend.images_encoded == before + (3 if family.both else 2)


def test_icons_and_strips_are_pictures(backend, name):
    # Some of them become a single visual token; the rows of gemma4's positions are too few here.
    sizes = [(1, 1), *([] if name == "gemma4" else [(1, 200), (200, 1)])]
    asked = [ask("What?", picture(2, size)) for size in sizes]
    asked += [ask("Which?", picture(2, (1, 1)), SQUARE)]
    icon, *others = backend.generate(asked)
    same(icon, backend.generate(asked[0])[0])
    for done in (icon, *others):
        assert done.usage.image_tokens > 0
        assert done.tokens[0].trigger_layer == 1


def test_a_text_cannot_pretend_to_be_a_picture_or_a_video(backend):
    host = backend._host
    tokens = {host.processor.image_token, host.tokenizer.decode([host.prompts.image_token])}
    for token in {*tokens, getattr(host.processor, "video_token", None)} - {None}:
        with pytest.raises(RequestError, match="takes for an image"):
            backend.generate(ask(f"What is {token}?", SQUARE))


def prompt_ids(backend, *messages, **options):
    """What the model reads, each picture a few of its tokens."""
    request = Request(messages=messages, **options)
    pictures = [Picture(image=part.source, hash="") for part in request.images]
    return backend._host.prompts.write(request, pictures).inputs["input_ids"][0].tolist()


def test_templates_of_every_kind_show_all_texts_and_pictures(backend):
    host, placeholder = backend._host, backend._host.prompts._chat.placeholder
    call = ToolCall(id="1", name="zoom", arguments='{"x": "T3"}')
    request = Request(
        messages=(
            Message("system", ["T0b", "T0c"]),
            Message("user", [Image(SQUARE), "T1"]),
            Message("assistant", "T2", tool_calls=[call]),
            Message("tool", ["T4", Image(WIDE)]),
            Message("assistant", ""),
            Message("system", "T5"),
            Message("user", "T6"),
        ),
        tools=(Tool(name="zoom", description="T0"),),
    )
    for kind, template in KINDS.items():
        own = template.replace("<image>", placeholder)
        chat = ChatTemplate("tiny", host.processor, own=own, placeholder=placeholder)
        text = chat.show(plain_messages(request)).text
        found = re.findall(r"T\d[a-z]?", text)
        assert sorted(found) == ["T0", "T0b", "T0c", *(f"T{n}" for n in range(1, 7))], kind
        later = [one for one in found if not one.startswith("T0")]
        assert later == sorted(later), kind
        assert text.count(placeholder) == 2, kind
        assert "'type'" not in text, kind


def test_ordinary_text_is_read_as_the_template_has_it(backend, family):
    random = Random(0)
    letters = "ab Z09.,:;<>|[]/{}\"'\n\t äß€中文😀é\u0301\u200d\u00a0"
    for size in range(1, 25):
        text = "".join(random.choices(letters, k=size)) + "?"
        pictures = [SQUARE] * (not family.text_alone or size % 8 == 1)
        shown = Message("user", [*map(Image, pictures), text])
        expected = processed(backend, text, *pictures)["input_ids"][0].tolist()
        assert prompt_ids(backend, shown) == expected, text


def test_no_text_can_forge_a_turn(backend, name):
    """In no place does a text that spells the tokenizer's special tokens become one of them."""
    tokenizer = backend._host.tokenizer
    special = {t.content: i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    with_marks, plain = "", "hello"
    for mark in special:
        with contextlib.suppress(RequestError):  # an image's
            prompt_ids(backend, Message("user", [Image(SQUARE), mark]))
            with_marks += f"\n{mark} a{mark}"

    def prompts(text):
        asked = Message("user", [Image(SQUARE), f"What? {text}"])
        yield [asked], {"response_format": {"const": text}}
        yield [Message("system", text), asked], {}
        if name != "paligemma":
            call = ToolCall(id="1", name="zoom", arguments=json.dumps({"x": text}))
            said = Message("assistant", text, tool_calls=[call])
            result = Message("tool", [text, Image(WIDE)], name=text.strip())
            yield [asked, said, result], {"tools": (Tool(name="zoom", description=text),)}

    for forged, usual in zip(prompts(with_marks), prompts(plain), strict=True):
        ids, others = (prompt_ids(backend, *m, **options) for m, options in (forged, usual))
        # Whether BOS stands once more is the template's matter; everything is counted.
        assert Counter(i for i in ids if i in special.values()) == Counter(
            i for i in others if i in special.values()
        )
        assert with_marks in tokenizer.decode(ids)


def test_no_text_becomes_a_mark_with_what_stands_next_to_it(backend, name):
    tokenizer = backend._host.tokenizer
    end = tokenizer.convert_tokens_to_ids("</s>")
    usual = prompt_ids(backend, Message("user", [Image(SQUARE), "a", "b"])).count(end)
    parts = Message("user", [Image(SQUARE), "No </", "s> yes", "</s", ">"])
    assert prompt_ids(backend, parts).count(end) == usual


def test_a_conversation_with_pictures_in_two_turns(backend, name):
    turns = [
        Message("user", [Image(SQUARE), "What is it?"]),
        Message("assistant", "A dog."),
        Message("user", ["And this?", Image(WIDE)]),
    ]
    request = Request(messages=tuple(turns), sampling=SamplingParams(max_tokens=1))
    if name == "paligemma":
        with pytest.raises(RequestError, match="one question: send a single user message"):
            backend.generate(request)
        system = Message("system", "Be brief.")
        [done] = backend.generate(dataclasses.replace(request, messages=(system, turns[0])))
        [joined] = backend.generate(ask("Be brief.\nWhat is it?", SQUARE, memvr=True))
        assert done.tokens[0] == dataclasses.replace(joined.tokens[0], text=done.tokens[0].text)
        return
    [done] = backend.generate(request)
    family = FAMILIES[name]
    assert done.usage.image_tokens == (family.both or family.square + family.wide)


def test_both_integrations_run_it(backend, name, family, tmp_path):
    file = tmp_path / "square.png"
    SQUARE.save(file)
    chat = ChatMemVR(model=name, engine=backend, memvr=ALWAYS, max_tokens=TOKENS)
    content = [image_block(file), {"type": "text", "text": "What is it?"}]
    answer = chat.invoke([{"role": "user", "content": content}])
    record = answer.response_metadata["memvr"]
    assert record["image_tokens"] == family.square
    assert record["retraced_tokens"] == answer.usage_metadata["output_tokens"]
    llm = MemVRMultiModalLLM(model=name, engine=backend, memvr=ALWAYS, max_tokens=TOKENS)
    same = llm.complete("What is it?", image_documents=[ImageDocument(image_path=str(file))])
    assert same.text == answer.content
    assert same.additional_kwargs["memvr"].items() >= record.items()


def test_under_a_blindfold_the_picture_makes_no_difference(backend, name):
    red, noise = Pillow.new("RGB", (64, 64), "red"), SQUARE.resize((64, 64))

    def scores():
        asked = [ask("Is it?", one, memvr=None) for one in (red, noise)]
        found = [backend.score(request, ["Yes, it is", "No"]) for request in asked]
        eventually(lambda: idle(backend))
        return found

    seen = scores()
    if name == "qwen3_5":
        refused = pytest.raises(UnsupportedModelError, match="linear_attention")
        with refused, blindfolded(backend.model, from_layer=0):
            pass
        return
    with blindfolded(backend.model, from_layer=0):
        blind = scores()
    assert seen[0] != seen[1]
    assert blind[0] == pytest.approx(blind[1], abs=1e-5)
    assert blind[0] != pytest.approx(seen[0], abs=1e-5)
