"""Every family through the whole backend: from the files of a checkpoint to the tokens given."""

import dataclasses
import itertools
import re
from random import Random

import pytest
import torch
from encoding import agree_on_pictures
from families import FAMILIES
from llama_index.core.schema import ImageDocument
from PIL import Image as Pillow
from template_kinds import KINDS
from tiny_family import LAYERS
from waiting import eventually, idle

from memvr_integrations.backend import (
    CATALOG,
    Backend,
    Image,
    Message,
    Request,
    SamplingParams,
    Tool,
)
from memvr_integrations.backend.hosting.prompts.conversation import plain_messages
from memvr_integrations.backend.hosting.prompts.templates import ChatTemplate
from memvr_integrations.backend.hosting.prompts.writer import Picture, PromptWriter
from memvr_integrations.doctor.equalities import batch_equals_alone, processed
from memvr_integrations.doctor.examination import CHECKS, named
from memvr_integrations.doctor.measures import speed
from memvr_integrations.doctor.subject import Subject
from memvr_integrations.errors import RequestError, UnsupportedModelError
from memvr_integrations.langchain import ChatMemVR, image_block
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.memvr import MemVRConfig, blindfolded
from memvr_integrations.memvr.arming import armed
from memvr_integrations.types import ToolCall

ALWAYS = MemVRConfig(
    starting_layer=0, ending_layer=LAYERS - 1, entropy_threshold=0.0, retracing_ratio=0.5
)
SETTINGS = dataclasses.replace(ALWAYS, entropy_threshold=0.75, activation="silu")
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
def subject(backend):
    # The formula of a Qwen or GLM, with every layer but the last ones in its window.
    return Subject(backend, settings=SETTINGS, tokens=3)


@pytest.fixture
def memories(monkeypatch):
    """The visual memories of all prompts to come."""
    seen, plan = [], armed.ArmedModel.plan

    def noting(self, images, configs):
        made = plan(self, images, configs)
        seen.append(made.memory if made else None)
        return made

    monkeypatch.setattr(armed.ArmedModel, "plan", noting)
    return seen


def picture(seed, size):
    pixels = torch.randint(0, 256, (*size, 3), generator=torch.Generator().manual_seed(seed))
    return Pillow.fromarray(pixels.to(torch.uint8).numpy())


SQUARE, WIDE = picture(0, (60, 60)), picture(1, (30, 60))


def ask(question, *images, memvr=ALWAYS, tokens=TOKENS):
    return Request.ask(question, *images, sampling=SamplingParams(max_tokens=tokens), memvr=memvr)


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


@pytest.mark.parametrize("check", [one for one in CHECKS if one is not speed], ids=named)
def test_the_doctor_finds_it_well(subject, check):
    found = check(subject)
    assert found.outcome == "ok", found
    if check is batch_equals_alone:
        tokens, triggered = map(int, re.findall(r"(\d+) (?:tokens|triggered)", found.says))
        assert 0 < triggered < tokens


def test_what_runs_alone_is_what_the_catalog_says(backend):
    """No tiny one has PaliGemma 2's windows, beyond which rows run alone: test_masks.py does."""
    decoder = backend._worker.decoder
    assert backend.report().joins
    assert decoder.masks.most is None
    kind = backend._host.model.config.model_type
    said = [row for row in CATALOG if row.family == kind and row.name != "paligemma2-3b"]
    assert all(row.alone_above is None for row in said)


def test_the_preset_is_moved_to_the_depth_and_says_so(backend):
    assert not backend.calibrated
    assert backend.preset == MemVRConfig.preset("llava").for_depth(LAYERS)


def test_the_visual_tokens_are_counted(backend, subject, family, memories):
    both = family.both or family.square + family.wide
    for images, expected in zip(kinds(family), (family.square, family.wide, both, 0), strict=False):
        memories.clear()
        [done] = backend.generate(ask("What is it?", *images, tokens=1))
        assert done.usage.image_tokens == expected
        inputs = processed(subject, images, "What is it?")
        assert done.usage.prompt_tokens == inputs["input_ids"].shape[1]
        # One that goes on from what was kept, and triggers, is read again.
        assert {sum(memory.images[0]) for memory in memories} == ({expected} if images else set())


def test_each_picture_is_encoded_once(backend, family):
    fresh, other = picture(7, (60, 60)), picture(8, (30, 60))
    before = backend.images_encoded
    backend.generate([ask(f"{one}?", fresh, tokens=1) for one in ("One", "Two", "Three")])
    assert backend.images_encoded == before + 1
    backend.generate([ask(f"{one}?", other, other, tokens=1) for one in ("Four", "Five")])
    assert backend.images_encoded == before + 2
    # LLaVA-OneVision sees a picture in company otherwise than alone.
    backend.generate(ask("Six?", fresh, other, tokens=1))
    assert backend.images_encoded == before + (3 if family.both else 2)


def test_pictures_that_wait_are_encoded_together_and_as_alone(backend):
    agree_on_pictures(backend)


@pytest.mark.filterwarnings("ignore:.*gave an empty answer")
def test_what_was_read_before_makes_no_difference(backend, name):
    """Second questions, about one picture and about two, one by one and together."""
    kept = backend._worker.decoder.prefixes
    assert bool(kept.limit) == (name not in {"paligemma", "qwen3_5", "gemma4"})
    if not kept.limit:
        return
    never = dataclasses.replace(SETTINGS, entropy_threshold=1.0)
    images = picture(20, (60, 60)), picture(30, (30, 60))
    # With MemVR that never triggers, what is kept goes on being read as without it.
    for memvr, kinds in ((never, [images]), (SETTINGS, [images[:1], images])):
        asked = [
            ask(f"Is there a {one}?", *shown, memvr=memvr, tokens=2)
            for shown in kinds
            for one in ("a", "big cat", "b")
        ]
        expected = []
        for request in asked:
            backend.forget()
            expected += backend.generate(request)
        backend.forget()
        before = kept.hits
        for request, one in zip(asked, expected, strict=True):
            same(one, backend.generate(request)[0])
        assert memvr is not never or kept.hits - before >= 2
        backend.forget()
        for one, other in zip(expected, backend.generate(asked), strict=True):
            same(one, other)


def test_prompts_are_written_as_if_the_pixels_were_processed(backend):
    host = backend._host
    whole = PromptWriter(
        "whole", host.processor, host.model.config, context=host.context, whole_inputs=True
    )
    pictures = [picture(9, size) for size in [(60, 60), (30, 60), (61, 33), (90, 17), (28, 28)]]
    combined = [*itertools.permutations(pictures, 1), *itertools.permutations(pictures, 2)]
    for images in [*combined, (SQUARE, SQUARE, WIDE), pictures]:
        shown = [Picture(image=image, hash="") for image in images]
        expected = whole.write(ask("Which?", *images), shown).inputs
        for _ in range(2):  # the second time their sizes are known
            written = host.prompts.write(ask("Which?", *images), shown)
            for name, value in written.inputs.items():
                assert torch.equal(value, expected[name]), (name, [one.size for one in images])


def test_pixels_are_processed_once_a_picture(backend, family, monkeypatch):
    kind = type(backend._host.processor.image_processor)
    processed, process = [], kind.__call__

    def noting(self, images, **settings):
        processed.append(images)
        return process(self, images, **settings)

    monkeypatch.setattr(kind, "__call__", noting)
    fresh, twin, other = picture(11, (44, 52)), picture(12, (44, 52)), picture(13, (52, 44))
    for images, runs in [
        ([fresh], 1),
        ([fresh], 0),
        ([twin], 1),  # its prompt is known by its size, but not what it shows
        ([fresh, other], 2 if family.both else 1),  # LLaVA-OneVision: as it is in company
        ([other, fresh], 0),
    ]:
        processed.clear()
        backend.generate(ask("Which?", *images, tokens=1))
        assert len(processed) == runs, [image.size for image in images]


@pytest.mark.filterwarnings("ignore:.*gave an empty answer")
def test_icons_and_strips_are_pictures(backend, name):
    # Some of them become a single visual token; the rows of gemma4's positions are too few here.
    sizes = [(1, 1), *([] if name == "gemma4" else [(1, 200), (200, 1)])]
    asked = [ask("What?", picture(2, size), tokens=2) for size in sizes]
    asked += [ask("Which?", picture(2, (1, 1)), SQUARE, tokens=2)]
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


def test_a_label_that_spells_a_mark_is_scored_as_text(backend):
    host, control = backend._host, backend._host.tokenizer.all_special_ids
    marks = host.tokenizer.convert_ids_to_tokens(sorted(control))
    for mark in {*marks, "<s>"}:
        for ids in host.spellings(mark):
            assert not set(ids) & set(control)
            assert host.tokenizer.decode(ids).strip() == mark
    plain = host.tokenizer("Yes", add_special_tokens=False).input_ids
    assert host.spellings("Yes")[0] == tuple(plain)
    assert all(score < 0 for score in backend.score(ask("Which?", SQUARE), [marks[0], "Yes"]))


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


def test_ordinary_text_is_read_as_the_template_has_it(backend, subject, family):
    random = Random(0)
    letters = "ab Z09.,:;<>|[]/{}\"'\n\t äß€中文😀é\u0301\u200d\u00a0"
    for size in range(1, 25):
        text = "".join(random.choices(letters, k=size)) + "?"
        pictures = [SQUARE] * (not family.text_alone or size % 8 == 1)
        shown = Message("user", [*map(Image, pictures), text])
        expected = processed(subject, pictures, text)["input_ids"][0].tolist()
        assert prompt_ids(backend, shown) == expected, text


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
        with pytest.raises(RequestError, match="about pictures: send one with the question"):
            backend.generate(ask("Is there a dog?"))
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
    other = same.additional_kwargs["memvr"]
    numbers = {name: one for name, one in record.items() if isinstance(one, int | float)}
    assert {name: other[name] for name in numbers} == pytest.approx(numbers, abs=1e-5)


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
