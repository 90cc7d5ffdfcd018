"""All ways into one model, and what is asked through them."""

import asyncio
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import jsonschema
from langchain_core.messages import AIMessage, AIMessageChunk
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from PIL import Image as Pillow

from memvr_integrations.backend import (
    Backend,
    Chunk,
    Completion,
    Image,
    Message,
    Request,
    SamplingParams,
    Tool,
)
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.langchain import image_block as langchain_block
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.llama_index import image_block as llama_index_block
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import STRATEGIES

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "sure": {"type": "boolean"}},
    "required": ["colour", "sure"],
    "additionalProperties": False,
}
WORDS = "What is it?"


@dataclass(frozen=True, kw_only=True)
class Given:
    """One answer, in whatever form it came."""

    text: str
    finish_reason: object
    calls: Sequence[str] = ()  # their arguments
    logprobs: Sequence[float] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return not self.text and not self.calls


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request, and whether a frameworks' plain door can ask it too."""

    name: str
    request: Request
    plain: bool = False

    @property
    def pictures(self) -> bool:
        """Whether it is about a picture."""
        return bool(self.request.images)

    def wrong_with(self, given: Given) -> str:
        """What is not as it was asked for; empty where all is well."""
        if any(math.isnan(logprob) for logprob in given.logprobs):
            return "a logprob is NaN"
        try:
            if self.request.response_format is not None:
                jsonschema.validate(json.loads(given.text), SCHEMA)
            for arguments in given.calls:
                jsonschema.validate(json.loads(arguments), SCHEMA)
        except (ValueError, jsonschema.ValidationError) as error:
            return f"{given.text!r} {given.calls} does not fit its schema: {error}"
        if self.request.tool_choice == "required" and not given.calls:
            return f"it called nothing but said {given.text!r}"
        return ""


def questions(picture: Pillow.Image, student: str, memvr: MemVRConfig) -> Iterator[Question]:
    """One of each kind."""

    def ask(sampling: SamplingParams, **more: object) -> Request:
        said = Message("user", [Image(picture), WORDS])
        return Request(messages=(said,), sampling=sampling, **({"memvr": memvr} | more))  # type: ignore[arg-type]

    greedy = SamplingParams(max_tokens=8)
    warm, long = replace(greedy, temperature=1.0, seed=3), replace(greedy, max_tokens=80)
    warm_long = replace(warm, max_tokens=80)
    tools = (Tool(name="paint", parameters=SCHEMA),)
    yield Question(name="greedy", request=ask(greedy), plain=True)
    yield Question(name="text alone", request=Request.ask(WORDS, sampling=greedy))
    yield Question(name="without MemVR", request=ask(greedy, memvr=None))
    yield Question(name="sampled", request=ask(warm))
    yield Question(name="several", request=ask(replace(warm, n=3)))
    yield Question(name="penalty", request=ask(replace(greedy, repetition_penalty=1.3)))
    for sampling, how in ((long, "greedy"), (warm_long, "sampled")):
        schema = ask(sampling, response_format=SCHEMA)
        yield Question(name=f"schema, {how}", request=schema)
        yield Question(name=f"tools, {how}", request=ask(sampling, tools=tools))
        forced = ask(sampling, tools=tools, tool_choice="required")
        yield Question(name=f"forced tools, {how}", request=forced)
    for name in STRATEGIES:
        decoding = {"name": name} | ({"student": student} if name == "contrastive" else {})
        yield Question(name=name, request=ask(greedy, decoding=decoding, memvr=None))


@dataclass(frozen=True, kw_only=True)
class Door:
    """A way to ask; frameworks are asked the plain question alone, streams what can stream."""

    ask: Callable[[Backend, Request], Sequence[Given]]
    streams: bool = False
    framework: bool = False

    def takes(self, question: Question) -> bool:
        """Whether a question goes through it."""
        strategy = question.request.strategy
        whole = strategy is not None and strategy.whole
        return (question.plain or not self.framework) and not (whole and self.streams)


def _completions(done: Completion) -> list[Given]:
    return [
        Given(
            text=one.text,
            finish_reason=one.finish_reason,
            calls=[call.arguments for call in one.tool_calls],
            logprobs=[token.logprob for token in one.tokens],
        )
        for one in (done, *done.alternatives)
    ]


def _chunks(chunks: Sequence[Chunk]) -> list[Given]:
    return [given for one in chunks if one.completion for given in _completions(one.completion)]


def _generate(backend: Backend, request: Request) -> list[Given]:
    return _completions(backend.generate(request)[0])


def _agenerate(backend: Backend, request: Request) -> list[Given]:
    return _completions(asyncio.run(backend.agenerate(request))[0])


def _stream(backend: Backend, request: Request) -> list[Given]:
    return _chunks(list(backend.stream(request)))


def _astream(backend: Backend, request: Request) -> list[Given]:
    async def all_of_it() -> list[Chunk]:
        return [chunk async for chunk in backend.astream(request)]

    return _chunks(asyncio.run(all_of_it()))


def _message(answer: AIMessage) -> list[Given]:
    reason = answer.response_metadata.get("finish_reason")
    return [Given(text=str(answer.content), finish_reason=reason)]


def _chat(backend: Backend, request: Request) -> tuple[ChatMemVR, list[dict[str, object]]]:
    chat = ChatMemVR(engine=backend, memvr=request.memvr, max_tokens=request.sampling.max_tokens)
    content = [langchain_block(request.images[0].source), {"type": "text", "text": WORDS}]
    return chat, [{"role": "user", "content": content}]


def _langchain(backend: Backend, request: Request) -> list[Given]:
    chat, said = _chat(backend, request)
    return _message(chat.invoke(said))


def _langchain_stream(backend: Backend, request: Request) -> list[Given]:
    chat, said = _chat(backend, request)
    whole: AIMessageChunk | None = None
    for piece in chat.stream(said):
        whole = piece if whole is None else whole + piece
    return _message(whole) if whole is not None else []


def _response(response: ChatResponse) -> list[Given]:
    reason = response.raw["choices"][0]["finish_reason"]  # type: ignore[index]
    return [Given(text=response.message.content or "", finish_reason=reason)]


def _llm(backend: Backend, request: Request) -> tuple[MemVRMultiModalLLM, list[ChatMessage]]:
    most = request.sampling.max_tokens
    llm = MemVRMultiModalLLM(engine=backend, memvr=request.memvr, max_tokens=most)
    shown = llama_index_block(request.images[0].source)
    return llm, [ChatMessage(role="user", blocks=[shown, {"block_type": "text", "text": WORDS}])]


def _llama_index(backend: Backend, request: Request) -> list[Given]:
    llm, said = _llm(backend, request)
    return _response(llm.chat(said))


def _llama_index_stream(backend: Backend, request: Request) -> list[Given]:
    llm, said = _llm(backend, request)
    *_, last = llm.stream_chat(said)
    return _response(last)


DOORS: dict[str, Door] = {
    "generate": Door(ask=_generate),
    "agenerate": Door(ask=_agenerate),
    "stream": Door(ask=_stream, streams=True),
    "astream": Door(ask=_astream, streams=True),
    "LangChain": Door(ask=_langchain, framework=True),
    "LangChain's stream": Door(ask=_langchain_stream, framework=True),
    "LlamaIndex": Door(ask=_llama_index, framework=True),
    "LlamaIndex's stream": Door(ask=_llama_index_stream, framework=True),
}
