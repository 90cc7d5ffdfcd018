"""An engine that obeys: it calls the tools it is given and copies arguments out of the question.

For the protocol between LangChain (or any other framework) and the backend, without a model.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from dataclasses import replace

from memvr_integrations.types import (
    Chunk,
    Completion,
    Identity,
    Message,
    Request,
    Text,
    TokenRecord,
    Usage,
)
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.types.tools import ToolCall, ToolCallDelta

Answer = str | Sequence[ToolCall]


def text_of(message: Message) -> str:
    return " ".join(part.text for part in message.content if isinstance(part, Text))


def obey(request: Request) -> Answer:
    """Call the first tool unless a tool has just answered; else JSON if asked for; else words."""
    last = request.messages[-1]
    question = " ".join(text_of(m) for m in request.messages if m.role == "user")
    forced = request.tool_choice != "auto"
    if request.callable_tools and (forced or last.role != "tool"):
        tool = request.callable_tools[0]
        arguments = json.dumps(_filled(tool.parameters, tool.parameters, _Words(question)))
        return [ToolCall(id="call_1", name=tool.name, arguments=arguments)]
    if request.response_format is not None:
        schema = request.response_format
        return json.dumps(_filled(schema, schema, _Words(question)))
    if last.role == "tool":
        return f"The tool said: {text_of(last)}"
    return "This is what the script says."


class _Words:
    """What a question holds: numbers and quoted words, each taken once."""

    def __init__(self, text: str) -> None:
        self.numbers = [int(number) for number in re.findall(r"\d+", text)]
        self.quoted = re.findall(r"'([^']+)'", text)

    def number(self) -> int:
        return self.numbers.pop(0) if self.numbers else 1

    def word(self) -> str:
        return self.quoted.pop(0) if self.quoted else "word"


def _filled(schema: Mapping[str, object], root: Mapping[str, object], words: _Words) -> object:
    if "$ref" in schema:
        found: object = root
        for key in str(schema["$ref"]).removeprefix("#/").split("/"):
            assert isinstance(found, Mapping)
            found = found[key]
        assert isinstance(found, Mapping)
        return _filled(found, root, words)
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(key), list):
            return _filled(options[0], root, words)
    if "const" in schema:
        return schema["const"]
    if isinstance(enum := schema.get("enum"), list):
        return enum[0]
    match schema.get("type", "object"):
        case "integer" | "number":
            return words.number()
        case "boolean":
            return True
        case "null":
            return None
        case "string":
            return words.word()
        case "array":
            items = schema.get("items", {"type": "string"})
            assert isinstance(items, Mapping)
            return [_filled(items, root, words)]
    properties = schema.get("properties", {})
    assert isinstance(properties, Mapping)
    return {name: _filled(inner, root, words) for name, inner in properties.items()}


class ScriptedEngine:
    """Answers by a script, a word a token; `requests` keeps what it was asked."""

    name = "scripted"
    identity = Identity(name="scripted", key="scripted", durable=True)
    abstention: float | None = None
    context = 4096
    image_policy = ImagePolicy()

    def __init__(self, script: Callable[[Request], Answer] = obey) -> None:
        self._script = script
        self.requests: list[Request] = []
        self.scores: dict[str, float] = {}
        self.closed = 0

    def generate(self, requests: Request | Sequence[Request]) -> list[Completion]:
        asked = [requests] if isinstance(requests, Request) else requests
        return [self._completion(request) for request in asked]

    async def agenerate(self, requests: Request | Sequence[Request]) -> list[Completion]:
        await asyncio.sleep(0)
        return self.generate(requests)

    def stream(self, request: Request) -> Generator[Chunk, None, None]:
        done = self._completion(request)
        try:
            for index, call in enumerate(done.tool_calls):
                delta = ToolCallDelta(index=index, id=call.id, name=call.name)
                yield Chunk(text="", tool_calls=(delta,))
                for piece in re.findall(r".{1,5}", call.arguments):
                    delta = ToolCallDelta(index=index, arguments=piece)
                    yield Chunk(text="", tool_calls=(delta,))
            for token in done.tokens if not done.tool_calls else ():
                yield Chunk(text=token.text, tokens=(token,))
            yield Chunk(text="", completion=done)
        finally:
            self.closed += 1

    async def astream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        stream = self.stream(request)
        try:
            for chunk in stream:
                await asyncio.sleep(0)
                yield chunk
        finally:
            stream.close()

    def score(
        self, request: Request, answers: Sequence[str], *, exclusive: bool = True
    ) -> list[float]:
        self.requests.append(request)
        return [self.scores.get(answer, -1.0) for answer in answers]

    async def ascore(
        self, request: Request, answers: Sequence[str], *, exclusive: bool = True
    ) -> list[float]:
        await asyncio.sleep(0)
        return self.score(request, answers, exclusive=exclusive)

    def count(self, request: Request) -> Usage:
        words = sum(len(text_of(message).split()) for message in request.messages)
        images = 64 * len(request.images)
        return Usage(prompt_tokens=words + images, image_tokens=images, completion_tokens=0)

    def tokenize(self, text: str) -> list[int]:
        return list(range(len(text.split())))

    def _completion(self, request: Request) -> Completion:
        self.requests.append(request)
        answer = self._script(request)
        text = answer if isinstance(answer, str) else ""
        for stop in request.sampling.stop:
            text = text.split(stop)[0]
        tokens = tuple(
            TokenRecord(id=index, text=word, logprob=-0.1, entropy=0.5, output_entropy=0.2)
            for index, word in enumerate(re.findall(r"\s*\S+", text))
        )
        calls = () if isinstance(answer, str) else tuple(answer)
        usage = replace(self.count(request), completion_tokens=max(len(tokens), 1))
        return Completion(
            text=text,
            finish_reason="tool_calls" if calls else "stop",
            usage=usage,
            tokens=tokens,
            model=self.name,
            memvr=None,
            tool_calls=calls,
        )
