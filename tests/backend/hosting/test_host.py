"""From messages to a prompt: turns, images in their places, and what is refused."""

import asyncio
import copy
import dataclasses
import json

import pytest
from families import FAMILIES

from memvr_integrations.backend import Backend, Image, Message, Request, SamplingParams
from memvr_integrations.errors import RequestError, UnsupportedModelError


@pytest.fixture
def prompt_of(backend):
    """The prompt of a conversation as text, a single <image> for each picture."""

    def render(*messages):
        request = Request(messages=messages, sampling=SamplingParams(max_tokens=1), memvr=None)
        seen = []
        fitted = backend._host.prompts.fitted
        backend._host.prompts.fitted = lambda *given: seen.append(fitted(*given)) or seen[-1]
        try:
            [answer] = backend.generate(request)
        finally:
            del backend._host.prompts.fitted
        ids = seen[0].inputs["input_ids"][0]
        assert answer.usage.prompt_tokens == len(ids)
        assert answer.usage.image_tokens == 64 * len(request.images)
        return backend._host.tokenizer.decode(ids).replace("<image>" * 64, "<image>")

    return render


@pytest.fixture
def pictures(scenes):
    return [Image(scene.pixels) for scene in scenes]


def test_a_question(prompt_of, pictures):
    text = prompt_of(Message("user", [pictures[0], "Is there a dog?"]))
    assert text == "<s>USER: <image>\nIs there a dog? ASSISTANT:"


def test_a_system_prompt(prompt_of):
    text = prompt_of(Message("system", "Be brief."), Message("user", "Hello"))
    assert text == "<s>Be brief. USER: Hello ASSISTANT:"


def test_many_turns_with_an_image_in_the_second(prompt_of, pictures):
    text = prompt_of(
        Message("user", "Hello"),
        Message("assistant", "Hi."),
        Message("user", [pictures[0], "And now?"]),
        Message("assistant", "A dog."),
        Message("user", ["And here?", pictures[1]]),
    )
    assert text == (
        "<s>USER: Hello ASSISTANT: Hi.</s>USER: <image>\nAnd now? ASSISTANT: A dog.</s>"
        "USER: the second: <image>\nAnd here? ASSISTANT:"
    )


def test_an_answer_does_not_swallow_a_later_turns_image(backend, pictures):
    def chance(first, second):
        messages = (
            Message("user", [first, "What?"]),
            Message("assistant", "A dog."),
            Message("user", [second, "And here?"]),
        )
        request = Request(messages=messages, sampling=SamplingParams(max_tokens=1))
        return backend.generate(request)[0].tokens[0].logprob

    a, b, c = pictures[:3]
    assert len({chance(a, b), chance(a, c), chance(c, b)}) == 3


@pytest.mark.parametrize("text", ["<image>", "see <image>\n here"])
def test_a_text_cannot_pretend_to_be_an_image(backend, pictures, text):
    for role in ("user", "system"):
        request = Request(messages=(Message(role, text), Message("user", [pictures[0], "?"])))
        with pytest.raises(RequestError, match=r"'<image>'.*Image\(\.\.\.\)"):
            backend.generate(request)


def dropping(loaded):
    """A template that leaves out an assistant's images, as that of LLaVA does."""
    processor = copy.deepcopy(loaded.processor)
    before = "ASSISTANT:{% for part in parts %}"
    assert before in processor.chat_template
    processor.chat_template = processor.chat_template.replace(
        before, "ASSISTANT:{% for part in parts if part.type == 'text' %}"
    )
    return dataclasses.replace(loaded, processor=processor)


@pytest.mark.parametrize("template", [dropping, lambda loaded: loaded])
@pytest.mark.parametrize("with_another", [False, True])
def test_an_image_that_the_template_drops_is_reported(loaded, pictures, with_another, template):
    first = [pictures[0], "Look."] if with_another else "Look."
    messages = (
        Message("user", first),
        Message("assistant", [pictures[1], "This one?"]),
        Message("user", "Yes."),
    )
    with Backend(template(loaded)) as backend, pytest.raises(RequestError, match="user messages"):
        backend.generate(Request(messages=messages))


def test_a_prompt_that_shows_less_of_an_image_spoils_no_other(backend, ask, monkeypatch):
    write = backend._host.prompts.write

    def short(request, pictures):
        prompt = write(request, pictures)
        lost = 1 if "spoilt" in str(request.messages) else 0
        return dataclasses.replace(prompt, image_tokens=prompt.image_tokens - lost)

    good, bad = ask("Fine?", 0, max_tokens=2), ask("spoilt?", 1, max_tokens=2)
    [expected] = backend.generate(good)
    monkeypatch.setattr(backend._host.prompts, "write", short)
    with pytest.raises(RequestError, match=r"1 image\(s\) became 64 visual tokens for 63"):
        backend.generate(bad)

    async def both():
        return await asyncio.gather(
            backend.agenerate(good), backend.agenerate(bad), return_exceptions=True
        )

    [done], error = asyncio.run(both())
    assert done == expected
    assert isinstance(error, RequestError)


def test_a_prompt_beyond_the_context_says_the_numbers(backend, ask):
    with pytest.raises(RequestError, match=r"has \d{4} tokens \(64 of images\).*at most 2047"):
        backend.generate(ask("dog " * 2500, 0))


def without_template(loaded):
    processor = copy.deepcopy(loaded.processor)
    template, processor.chat_template = processor.chat_template, None
    processor.tokenizer.chat_template = None
    return dataclasses.replace(loaded, processor=processor), template


def test_no_chat_template_is_refused_at_once(loaded):
    bare, _ = without_template(loaded)
    with pytest.raises(UnsupportedModelError, match=r"no chat template.*instruction-tuned"):
        Backend(bare)


def test_a_chat_template_may_be_the_tokenizers(loaded, backend, ask):
    bare, template = without_template(loaded)
    bare.processor.tokenizer.chat_template = template
    request = ask("What?", 0, max_tokens=4)
    with Backend(bare) as other:
        [done], [expected] = other.generate(request), backend.generate(request)
    assert [token.id for token in done.tokens] == [token.id for token in expected.tokens]
    assert done.usage.prompt_tokens == expected.usage.prompt_tokens


def test_a_model_without_an_image_token_is_refused(loaded):
    model = copy.copy(loaded.model)
    model.config = loaded.model.config.text_config
    with pytest.raises(UnsupportedModelError, match="no image token"):
        Backend(dataclasses.replace(loaded, model=model))


def test_of_templates_with_names_the_default_is_taken(tmp_path):
    llava = FAMILIES["llava"].save("llava", tmp_path)
    template = (llava / "chat_template.jinja").read_text()
    (llava / "chat_template.jinja").unlink()
    path = llava / "tokenizer_config.json"
    named = [{"name": "default", "template": template}, {"name": "tool_use", "template": "no"}]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": named}))
    with Backend.load(llava, device="cpu", progress=False) as backend:
        request = Request.ask("A dog?", memvr=None, sampling=SamplingParams(max_tokens=2))
        assert backend.generate(request)[0].tokens
