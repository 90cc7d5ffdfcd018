"""What goes into an engine and what comes out: messages, sampling, requests, answers.

Plain frozen dataclasses; nothing here knows a model, a framework or a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from memvr_integrations.errors import RequestError
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.types.decoding import Decoding, DecodingConfig, read_decoding
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.types.tools import JsonSchema, Tool, ToolCall, ToolCallDelta

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

    ImageSource: TypeAlias = (
        Path | bytes | bytearray | memoryview | str | PIL.Image.Image | np.ndarray
    )

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal["stop", "length", "cancelled", "tool_calls"]

_ROLES = ("system", "user", "assistant", "tool")
_COLDEST = 1e-5  # below it logits / temperature leave the range of a float


@dataclass(frozen=True)
class Text:
    """A piece of text in a message."""

    text: str

    def __post_init__(self) -> None:
        """Refuse what is no text."""
        if not isinstance(self.text, str):
            raise RequestError(
                f"Text holds {self.text!r}, a {type(self.text).__name__}; give a str."
            )


@dataclass(frozen=True, eq=False)
class Image:
    """A picture in a message.

    `source` is a `pathlib.Path`, encoded bytes, a PIL image, a numpy array, or a string with
    base64, a data URL or (where the backend's policy allows the host) an http(s) URL. A string
    is never taken as a path, so that text from a stranger can't open a file.
    """

    source: ImageSource


@dataclass(frozen=True)
class Message:
    """What one side said; `content` may be given as a plain string, or as a single part.

    `name` is who said it, where several speak in one role; in the role "tool" it is the tool's,
    and the content is what the tool gave back. `tool_calls` are what an assistant asked for.
    """

    role: Role
    content: tuple[Text | Image, ...]
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()

    def __init__(
        self,
        role: Role,
        content: str | Text | Image | Sequence[Text | Image | str],
        *,
        name: str | None = None,
        tool_calls: Sequence[ToolCall] = (),
    ) -> None:
        """Check the role and wrap strings into `Text`."""
        if role not in _ROLES:
            raise RequestError(f"role={role!r} is unknown; use one of {', '.join(_ROLES)}.")
        if tool_calls and role != "assistant":
            raise RequestError(f"A message of role={role!r} has tool_calls; assistants call tools.")
        parts = [content] if isinstance(content, str | Text | Image) else list(content)
        wrapped = tuple(Text(part) if isinstance(part, str) else part for part in parts)
        for part in wrapped:
            if not isinstance(part, Text | Image):
                raise RequestError(
                    f"A message holds a {type(part).__name__}; wrap it as Text(...) or Image(...)."
                )
        object.__setattr__(self, "role", role)
        object.__setattr__(self, "content", wrapped)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "tool_calls", tuple(tool_calls))


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How the next token is chosen, with vLLM's names.

    `temperature=0` is greedy decoding, the default. `top_k=0` and `top_p=1` and `min_p=0` switch
    those filters off. `seed` makes sampling repeatable whatever else runs in the batch.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1

    def __post_init__(self) -> None:
        """Refuse values outside their limits."""
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        object.__setattr__(self, "stop", tuple(self.stop))
        if any(not isinstance(text, str) or not text for text in self.stop):
            raise RequestError(f"stop={self.stop!r} must hold non-empty strings.")
        _whole("max_tokens", self.max_tokens, 1, 1_000_000)
        _whole("top_k", self.top_k, 0, 10_000_000)
        _whole("n", self.n, 1, 64)
        if self.seed is not None:
            _whole("seed", self.seed, 0, 2**63 - 1)
        _within("temperature", self.temperature, 0, 100)
        _within("top_p", self.top_p, 0, 1, above=True)
        _within("min_p", self.min_p, 0, 1)
        _within("repetition_penalty", self.repetition_penalty, 0, 100, above=True)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature < _COLDEST


def _whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestError(f"{name}={value!r} must be a whole number from {low} to {high}.")


def _within(name: str, value: float, low: float, high: float, *, above: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or (above and value == low):
        limits = f"above {low} and at most {high}" if above else f"from {low} to {high}"
        raise RequestError(f"{name}={value!r} must be a number {limits}.")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One thing to answer.

    `memvr=True` takes the model's preset, a `MemVRConfig` sets it, a dict changes
    some fields of the preset, None or False decodes plainly. `decoding` is a strategy's config,
    its name, or a dict of its fields with its `name`; None is the model's own choice.
    `timeout` is in seconds and counts the waiting in the queue.

    With `tools`, `tool_choice` is "auto" (the model answers or calls), "none", "required" (at
    least one call) or the name of the tool to call. `response_format` is the JSON schema that an
    answer fits. Both hold while decoding, so no other answer can come out; such an answer ends
    within `max_tokens` and is not cut by `stop`.

    `image_policy` says which images may come in, None as the engine has it. `evidence` is for
    evaluation: the pictures that MemVR's control "shuffled" retraces in place of the request's own.
    """

    messages: tuple[Message, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    memvr: MemVRConfig | Mapping[str, object] | bool | None = True
    timeout: float | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    response_format: JsonSchema | None = None
    image_policy: ImagePolicy | None = None
    decoding: Decoding | None = None
    evidence: tuple[Image, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no model could answer."""
        object.__setattr__(self, "decoding", read_decoding(self.decoding))
        object.__setattr__(self, "tools", tuple(self.tools))
        self._check_tools()
        alone = isinstance(self.messages, Message)
        object.__setattr__(self, "messages", (self.messages,) if alone else tuple(self.messages))
        if not self.messages:
            raise RequestError("A request needs at least one message.")
        for message in self.messages:
            if not isinstance(message, Message):
                raise RequestError(
                    f"A request holds a {type(message).__name__}; wrap it as Message(role, ...)."
                )
        self._check_memvr()
        if self.timeout is not None:
            _within("timeout", self.timeout, 0, 1e9, above=True)

    def _check_memvr(self) -> None:
        asked = self.memvr
        if isinstance(asked, Mapping):
            asked = MemVRConfig.from_dict(asked)
        if not isinstance(asked, MemVRConfig | bool | None):
            raise RequestError(
                f"memvr={asked!r} must be True, False, None, a MemVRConfig(...) or a "
                "dict of its fields."
            )
        object.__setattr__(self, "evidence", tuple(self.evidence))
        shuffled = isinstance(asked, MemVRConfig) and asked.control == "shuffled"
        if shuffled != bool(self.evidence):
            raise RequestError(
                f"evidence holds {len(self.evidence)} image(s) and MemVR's control is "
                f"{asked.control if isinstance(asked, MemVRConfig) else None!r}: "
                "control='shuffled' needs other images as evidence, and nothing else takes them."
            )

    @property
    def strategy(self) -> DecodingConfig | None:
        """`decoding` as the config that it stands for."""
        return read_decoding(self.decoding)

    def _check_tools(self) -> None:
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise RequestError(f"Two tools have the same name: {', '.join(sorted(names))}.")
        if self.tool_choice not in ("auto", "none", "required", *names):
            known = ", ".join(names) or "no tools were given"
            raise RequestError(
                f"tool_choice={self.tool_choice!r} must be 'auto', 'none', 'required' or the name "
                f"of a tool ({known})."
            )
        if self.tool_choice == "required" and not names:
            raise RequestError(
                "tool_choice='required' (or 'any') needs tools; pass some, or leave it out."
            )
        if self.response_format is not None and not isinstance(self.response_format, Mapping):
            raise RequestError(
                f"response_format is a {type(self.response_format).__name__}; give a JSON schema "
                "as a dict."
            )

    @property
    def callable_tools(self) -> tuple[Tool, ...]:
        """The tools that this request's answer may call."""
        if self.tool_choice == "none":
            return ()
        named = tuple(tool for tool in self.tools if tool.name == self.tool_choice)
        return self.tools if self.tool_choice in ("auto", "required") else named

    @property
    def images(self) -> tuple[Image, ...]:
        """All pictures, in the order in which they are said."""
        parts = (part for message in self.messages for part in message.content)
        return tuple(part for part in parts if isinstance(part, Image))

    @classmethod
    def ask(
        cls,
        question: str,
        *images: ImageSource,
        sampling: SamplingParams | None = None,
        memvr: MemVRConfig | Mapping[str, object] | bool | None = True,
        timeout: float | None = None,
        decoding: Decoding | None = None,
    ) -> Request:
        """A single user message: some images, then a question."""
        content: list[Text | Image | str] = [*(Image(source) for source in images), Text(question)]
        return cls(
            messages=(Message("user", content),),
            sampling=sampling or SamplingParams(),
            memvr=memvr,
            timeout=timeout,
            decoding=decoding,
        )


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Token counts; `image_tokens` are a part of `prompt_tokens`."""

    prompt_tokens: int
    image_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, kw_only=True)
class TokenRecord:
    """One generated token.

    `text` is what it added to the answer or to a tool call ("" for an end token or what a stop
    string trimmed); `logprob` is the natural logarithm of its probability, before temperature,
    filters and grammars: the model's own, or the decoding strategy's where that let the token
    through. `output_entropy` (0 to 1) is that of the model's own probabilities, over the ten
    likeliest. `entropy` (0 to 1) is that of the deciding inner layer:
    the one that triggered, else the most unsure one that was probed; None when nothing was
    probed. `trigger_layer` is None when the model did not look again; the FFN of the layer after
    it was retraced.
    """

    id: int
    text: str
    logprob: float
    entropy: float | None = None
    trigger_layer: int | None = None
    output_entropy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Box:
    """Where in a picture something is, in its pixels; `image` counts a request's from 0."""

    label: str
    left: float
    top: float
    right: float
    bottom: float
    image: int


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A finished answer; with `n` above 1 the others are its `alternatives`.

    `boxes` are those that the model wrote into its text, as Qwen-VL and the bundled one do when
    they are asked where exactly something is. `decoding` is the strategy that was at work.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    tokens: tuple[TokenRecord, ...]
    model: str
    memvr: MemVRConfig | None
    alternatives: tuple[Completion, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    boxes: tuple[Box, ...] = ()
    decoding: DecodingConfig | None = None

    @property
    def retraced(self) -> int:
        """At how many tokens the model looked again."""
        return sum(token.trigger_layer is not None for token in self.tokens)

    @property
    def unsureness(self) -> float:
        """The highest output entropy (0 to 1) over the tokens that hold a letter or a digit."""
        said = (token for token in self.tokens if any(map(str.isalnum, token.text)))
        return max((token.output_entropy or 0.0 for token in said), default=0.0)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A piece of a streamed answer; the last one of each answer carries its `completion`."""

    text: str
    tokens: tuple[TokenRecord, ...] = ()
    index: int = 0
    completion: Completion | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
