"""What goes into an engine: messages, sampling, requests.

Plain frozen dataclasses; nothing here knows a model, a framework or a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from memvr_integrations.checks import check_integer, check_number
from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.types.decoding import Decoding, DecodingConfig, read_decoding
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.types.tools import JsonSchema, Tool, ToolCall

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

    ImageSource: TypeAlias = (
        Path | bytes | bytearray | memoryview | str | PIL.Image.Image | np.ndarray | "ReadImage"
    )

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
"""Who says a message; a tool's is the result of a call."""

_ROLES = ("system", "user", "assistant", "tool")
_LONGEST_ID = 20  # digits
_COLDEST = 1e-5  # below it logits / temperature leave the range of a float


@dataclass(frozen=True)
class Text:
    """A piece of text in a message."""

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise RequestError(
                f"Text holds {self.text!r}, a {type(self.text).__name__}; give a str."
            )


@dataclass(frozen=True, eq=False)
class ReadImage:
    """A picture that was read before, so that nobody reads it again.

    `pixels` are upright RGB and never change any more; `hash` is their `pixel_hash`.
    """

    pixels: PIL.Image.Image
    hash: str


@dataclass(frozen=True, eq=False)
class Image:
    """A picture in a message.

    `source` is a `pathlib.Path`, encoded bytes, a PIL image, a numpy array, or a string with
    base64, a data URL or (where the backend's policy allows the host) an http(s) URL. A string
    is never taken as a path, so that text from a stranger can't open a file. `load_image` of
    `memvr_integrations.backend.images` reads all of them, and the `ReadImage` that some callers
    give.
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

    `repetition_penalty` counts the tokens of prompt and answer; `presence_penalty` (once for a
    token) and `frequency_penalty` (each time), -2 to 2, count those of the answer alone.
    `logit_bias` adds -100 to 100 to the logits of token ids, before penalties and temperature.

    A token of `stop_token_ids` ends the answer and is not in its text. As long as there are less
    than `min_tokens`, neither such a token nor an end token comes, and `stop` cuts nothing.
    A schema or tools come before all of these.

    `top_logprobs` (0 to 20) is how many tokens each `TokenRecord.top` holds; vLLM calls it
    `logprobs`.
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
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] | None = field(default=None, hash=False)
    min_tokens: int = 0
    stop_token_ids: tuple[int, ...] = ()
    top_logprobs: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        object.__setattr__(self, "stop", tuple(self.stop))
        if any(not isinstance(text, str) or not text for text in self.stop):
            raise ConfigError(f"stop={self.stop!r} must hold non-empty strings.")
        check_integer("max_tokens", self.max_tokens, least=1, most=1_000_000)
        check_integer("top_k", self.top_k, least=0, most=10_000_000)
        check_integer("n", self.n, least=1, most=64)
        if self.seed is not None:
            check_integer("seed", self.seed, least=0, most=2**63 - 1)
        check_number("temperature", self.temperature, most=100)
        check_number("top_p", self.top_p, most=1, above=True)
        check_number("min_p", self.min_p, most=1)
        check_number("repetition_penalty", self.repetition_penalty, most=100, above=True)
        check_number("presence_penalty", self.presence_penalty, least=-2, most=2)
        check_number("frequency_penalty", self.frequency_penalty, least=-2, most=2)
        check_integer("top_logprobs", self.top_logprobs, least=0, most=20)
        check_integer("min_tokens", self.min_tokens, least=0, most=1_000_000)
        if self.min_tokens > self.max_tokens:
            raise ConfigError(
                f"min_tokens={self.min_tokens} is above max_tokens={self.max_tokens}; lower it, or "
                "raise max_tokens."
            )
        object.__setattr__(self, "stop_token_ids", _token_ids(self.stop_token_ids))
        object.__setattr__(self, "logit_bias", read_logit_bias(self.logit_bias))

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature < _COLDEST


def _token_ids(value: object) -> tuple[int, ...]:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise ConfigError(f"stop_token_ids={value!r} must be a list of token ids, such as [2].")
    ids = tuple(value)
    for one in ids:
        check_integer("A token of stop_token_ids", one, least=0)
    return ids


def read_logit_bias(value: object) -> dict[int, float] | None:
    """What `logit_bias` may be; token ids may be texts, as the keys of JSON are.

    Raises:
        ConfigError: It is no dict of token ids and numbers from -100 to 100.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"logit_bias={repr(value)[:200]} must be a dict of token ids and numbers, such as "
            "{42: -100}."
        )
    read: dict[int, float] = {}
    for key, bias in value.items():
        number = isinstance(key, str) and key.isdecimal() and len(key) < _LONGEST_ID
        token = int(key) if number else key
        check_integer("A token of logit_bias", token, least=0)
        check_number(f"logit_bias[{token}]", bias, least=-100, most=100)
        read[token] = float(bias)
    return read


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
    within `max_tokens` and is not cut by `stop` or `stop_token_ids`.

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
            check_number("timeout", self.timeout, most=1e9, above=True)

    def _check_memvr(self) -> None:
        asked = MemVRConfig.read(self.memvr)
        if isinstance(asked, dict):  # some fields alone
            asked = MemVRConfig.from_dict(asked)
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
