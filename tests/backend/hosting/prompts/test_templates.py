"""Whatever form a template wants: each text once, in order, each picture in its place, or no."""

import copy
import dataclasses
import re

import pytest
from PIL import Image as Pillow
from template_kinds import KINDS, LOSING

from memvr_integrations.backend import Backend, Image, Message, Request, SamplingParams, Tool
from memvr_integrations.backend.hosting.prompts.conversation import plain_messages
from memvr_integrations.backend.hosting.prompts.templates import ChatTemplate
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.errors import RequestError, UnsupportedModelError
from memvr_integrations.types import ToolCall

PICTURE = Pillow.new("RGB", (8, 8), "red")
SHOWN = Image(PICTURE)
ZOOM = Tool(name="zoom", description="T0")
CALL = ToolCall(id="1", name="zoom", arguments='{"part": "T3"}')
ASK = Message("user", [SHOWN, "T1"])
CONVERSATIONS = {
    "a question": [ASK],
    "system": [Message("system", "T0"), ASK],
    "system of two parts": [Message("system", ["T0", "T0b"]), ASK],
    "two systems": [Message("system", "T0"), Message("system", "T0b"), ASK],
    "system later on": [
        ASK,
        Message("assistant", "T2"),
        Message("system", "T3"),
        Message("user", "T4"),
    ],
    "systems": [Message("system", "T0"), ASK, Message("system", "T2"), Message("user", "T3")],
    "history": [ASK, Message("assistant", "T2"), Message("user", "T3")],
    "pictures in two turns": [ASK, Message("assistant", "T2"), Message("user", ["T3", SHOWN])],
    "an empty answer": [ASK, Message("assistant", ""), Message("user", "T2")],
    "an answer of no parts": [ASK, Message("assistant", []), Message("user", "T2")],
    "two users": [ASK, Message("user", ["T2", SHOWN, "T3"], name="Ann")],
    "a call": [
        Message("system", "T0b"),
        ASK,
        Message("assistant", "T2", tool_calls=[CALL]),
        Message("tool", ["T4", SHOWN], name="zoom"),
    ],
    "a call alone": [
        ASK,
        Message("assistant", [], tool_calls=[CALL]),
        Message("tool", "T4"),
    ],
}


def chat(processor, template):
    return ChatTemplate("tiny", processor, own=template, placeholder="<image>")


def shown(template, messages, **options):
    request = Request(messages=tuple(messages), **options)
    return template.show(plain_messages(request)).text


@pytest.mark.parametrize("kind", KINDS)
def test_each_text_stands_once_and_in_order(loaded, kind):
    template = chat(loaded.processor, KINDS[kind])
    for name, messages in CONVERSATIONS.items():
        text = shown(template, messages, tools=(ZOOM,) if "call" in name else ())
        said = re.findall(r"T\d[a-z]?", str(messages) + "T0" * ("call" in name))
        found = re.findall(r"T\d[a-z]?", text)
        assert sorted(found) == sorted(said), (name, text)
        later = [t for t in found if not t.startswith("T0")]  # than the first system prompt
        assert later == sorted(later), (name, text)
        assert text.count("<image>") == str(messages).count("Image("), (name, text)
        assert "{'type'" not in text


@pytest.mark.parametrize("kind", LOSING)
def test_what_a_template_loses_is_refused(loaded, kind):
    between = [Message("user", ["One.", SHOWN, "Two."]), Message("assistant", "Three."), ASK]
    with pytest.raises(RequestError, match=r"leaves out|repeats|moves|became|can't read"):
        shown(chat(loaded.processor, LOSING[kind]), between)


def test_the_text_that_is_lost_is_named(loaded):
    template = chat(loaded.processor, KINDS["loops"].replace("part['text']", "part['text'][:3]"))
    with pytest.raises(RequestError, match=r"changes a text .*\(user: 'Is this a very long"):
        shown(template, [Message("user", "Is this a very long text? " * 3)])


def test_pictures_stay_between_their_texts(loaded):
    text = shown(
        chat(loaded.processor, KINDS["adds to a string"]),
        [Message("user", ["Left:", SHOWN, "Right:", SHOWN, "Which?"])],
    )
    assert "Left:<image>\nRight:<image>\nWhich?" in text


def test_thoughts_of_earlier_answers_may_be_left_out(loaded):
    template = chat(loaded.processor, KINDS["leaves thoughts out"])
    answer = "<think>\nA dog? </think>\n\nA cat."
    assert "[assistant]A cat.[end]" in shown(template, [ASK, Message("assistant", answer), ASK])
    asked = Message("user", answer)
    assert f"[user]{answer}[end]" in shown(template, [asked])


def test_a_picture_is_found_by_the_token_that_it_adds(loaded):
    processor = copy.deepcopy(loaded.processor)
    processor.tokenizer.add_special_tokens({"additional_special_tokens": ["<look>"]})
    template = KINDS["loops"].replace("<image>", "<look>")
    assert chat(processor, template).placeholder == "<look>"


def with_template(loaded, template):
    processor = copy.copy(loaded.processor)
    processor.chat_template = template
    return dataclasses.replace(loaded, processor=processor)


@pytest.mark.parametrize("kind", ["pictures twice", "prints JSON"])
def test_a_template_that_shows_no_picture_is_refused_at_once(loaded, kind):
    with pytest.raises(UnsupportedModelError, match=r"question with a picture can't.*anew"):
        Backend(with_template(loaded, LOSING[kind]))


def test_a_picture_that_becomes_no_token_is_refused(loaded):
    """Some processors place pictures by themselves, so only a request shows it."""
    silent = with_template(loaded, KINDS["loops"].replace("<image>\n", ""))
    with Backend(silent) as backend, pytest.raises(RequestError, match=r"became|can't read"):
        backend.generate(Request(messages=(ASK,)))


def test_a_system_prompt_reaches_the_model_whatever_the_template(loaded):
    with Backend(with_template(loaded, KINDS["first part"])) as backend:
        request = Request(
            messages=(Message("system", ["Be", "brief."]), ASK),
            sampling=SamplingParams(max_tokens=1),
        )
        picture = Picture(image=PICTURE, hash="")
        ids = backend._host.prompts.write(request, [picture]).inputs["input_ids"][0]
        assert "[system]Be\nbrief.[end]" in backend._host.tokenizer.decode(ids)
        assert backend.generate(request)[0].tokens
