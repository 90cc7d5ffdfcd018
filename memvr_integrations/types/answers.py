"""What comes out of an engine: answers, whole and in pieces, with a record of every token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.types.decoding import DecodingConfig
from memvr_integrations.types.tools import ToolCall, ToolCallDelta

FinishReason: TypeAlias = Literal["stop", "length", "cancelled", "tool_calls"]
"""Why an answer ended: by itself or a stop text or token, at `max_tokens`, cancelled, by calls."""


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
class TopToken:
    """A token that was likely at some place of an answer.

    `text` is what it would have added there; "" for an end token, and U+FFFD where it is a part of
    a character.
    """

    id: int
    text: str
    logprob: float


@dataclass(frozen=True, kw_only=True)
class TokenRecord:
    """One generated token.

    `text` is what it added to the answer or to a tool call ("" for an end token, one of
    `stop_token_ids`, or what a stop string trimmed); `logprob` is the natural logarithm of its
    probability, before temperature, bias, penalties, filters and grammars: the model's own, or
    the decoding strategy's where that let the token through. `top` are the
    `SamplingParams.top_logprobs` likeliest tokens by the same probabilities, likeliest first; fewer
    where a strategy lets fewer through. The token itself need not be among them.

    `output_entropy` (0 to 1) is that of the model's own probabilities, over the ten likeliest.
    `entropy` (0 to 1) is that of the deciding inner layer: the one that triggered, else the most
    unsure one that was probed; None when nothing was probed. `trigger_layer` is None when no layer
    triggered; the FFN of the layer after it was retraced. `entropies` has each layer that was
    probed, up to the one that triggered.
    """

    id: int
    text: str
    logprob: float
    entropy: float | None = None
    trigger_layer: int | None = None
    output_entropy: float | None = None
    top: tuple[TopToken, ...] = ()
    entropies: Mapping[int, float] = field(default_factory=dict, hash=False)


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
    `checks` is what was checked of the answer after it was given, as data that JSON can hold:
    whether it was withheld, for instance.
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
    checks: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def retraced(self) -> int:
        """At how many tokens a layer triggered and the next was retraced."""
        return sum(token.trigger_layer is not None for token in self.tokens)

    @property
    def unsureness(self) -> float:
        """The highest output entropy (0 to 1) over the tokens that hold a letter or a digit."""
        return unsureness((token.text, token.output_entropy) for token in self.tokens)


def unsureness(tokens: Iterable[tuple[str, float | None]]) -> float:
    """`Completion.unsureness` of tokens, each by its text and its output entropy."""
    said = (entropy for text, entropy in tokens if any(map(str.isalnum, text)))
    return max((entropy or 0.0 for entropy in said), default=0.0)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A piece of a streamed answer; the last one of each answer carries its `completion`."""

    text: str
    tokens: tuple[TokenRecord, ...] = ()
    index: int = 0
    completion: Completion | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
