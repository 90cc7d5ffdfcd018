"""A request on its way through the backend: the job, and a row for each answer it wants."""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor

from memvr_integrations.backend.decoding.answer import AnswerText
from memvr_integrations.backend.decoding.sampling import RowSampler
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Picture, Prompt
from memvr_integrations.backend.structured.constraint import Constraint, Dictation
from memvr_integrations.backend.structured.grammar import Grammar
from memvr_integrations.backend.structured.tool_calls import CallReader
from memvr_integrations.errors import GenerationError, MemVRError, RequestTimeoutError
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.models.boxes import read_boxes, read_plain_boxes
from memvr_integrations.types import (
    Box,
    Chunk,
    Completion,
    FinishReason,
    Request,
    TokenRecord,
    Usage,
)
from memvr_integrations.types.decoding import DecodingConfig

Event: TypeAlias = Chunk | MemVRError


@dataclass(eq=False, kw_only=True)
class Job:
    """One request being served.

    `second` is the prompt of a second run, where the decoding strategy has one that reads another.
    `evidence` are the pictures that a control retraces instead of the request's own. Only the
    inference thread touches a job after it was queued. The caller keeps `left` and sets it on
    leaving, which may be before there is a job. `box_scale` is the catalog row's.
    """

    request: Request
    pictures: Sequence[Picture]
    config: MemVRConfig | None
    sink: Callable[[Event], None]
    deadline: float
    left: threading.Event = field(default_factory=threading.Event)
    grammar: Grammar | None = None
    dictated: tuple[int, ...] = ()
    failed: bool = False
    decoding: DecodingConfig | None = None
    evidence: Sequence[Picture] = ()
    box_scale: int | None = None
    prompt: Prompt | None = None
    second: Prompt | None = None
    rows: list["Row"] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether nobody waits for this job any more; a passed deadline is reported."""
        if not (self.left.is_set() or self.failed) and time.monotonic() > self.deadline:
            self.fail(timed_out(self.request))
        return self.left.is_set() or self.failed

    def read(self, host: Host) -> None:
        """Tokenise the prompt, if it leaves room for an answer.

        Raises:
            RequestError: An image got lost on the way, or what is asked for can't end in time.
            ContextLengthError: The prompt is too long.
        """
        prompt = host.prompts.fitted(self.request, self.pictures)
        self.constraint(host, prompt)
        self.prompt = prompt

    def constraint(self, host: Host, prompt: Prompt) -> Constraint | Dictation | None:
        """What holds a new answer to its grammar or its text, if it has one."""
        if self.dictated:
            return Dictation(self.dictated)
        if self.grammar is None:
            return None
        room = prompt.room if self.second is None else min(prompt.room, self.second.room)
        return host.grammars.start(self.grammar, min(self.request.sampling.max_tokens, room))

    def fail(self, error: MemVRError) -> None:
        """End the job with an error, once."""
        if not self.failed:
            self.failed = True
            self.sink(error)


class Row:
    """One answer: what was generated so far, and how the next token is chosen.

    `carried` is what its decoding strategy keeps from step to step. With `alone` it failed beside
    others, and is computed again without them.
    """

    def __init__(self, job: Job, index: int) -> None:
        self.job, self.index = job, index
        seed = job.request.sampling.seed
        self._seed = secrets.randbits(63) if seed is None else seed + index
        self.tokens: list[TokenRecord] = []
        self.finish_reason: FinishReason | None = None
        self.alone = False
        self.calls = CallReader()
        self.restart()

    def restart(self, constraint: Constraint | Dictation | None = None) -> None:
        """Begin to compute, also again after a step that failed.

        Tokens that were already generated are forced to come out the same (`replay`), so what a
        caller has seen stays true.
        """
        self.sampler = RowSampler(self.job.request.sampling, self._seed)
        self.constraint = constraint
        self.carried: dict[str, Tensor] = {}
        self._replayed = 0

    @property
    def prompt(self) -> Prompt:
        """What is read; a row is only run once there is a prompt."""
        assert self.job.prompt is not None
        return self.job.prompt

    @property
    def second_prompt(self) -> Prompt:
        """What a second run of the same answer reads."""
        return self.job.second or self.prompt

    @property
    def searches(self) -> bool:
        """Whether its answer is known at its end only."""
        return self.job.decoding is not None and self.job.decoding.whole

    @property
    def config(self) -> MemVRConfig | None:
        """Its MemVR; None where that is off, or has nothing to retrace."""
        return self.job.config if self.job.pictures else None

    @property
    def most(self) -> int:
        """How many tokens the answer may have."""
        room = min(self.prompt.room, self.second_prompt.room)
        return min(self.job.request.sampling.max_tokens, room)

    @property
    def length(self) -> int:
        """How many tokens the answer has, as far as it was computed (again)."""
        return self._replayed

    @property
    def top_logprobs(self) -> int:
        """How many of the likeliest tokens the next record shall hold."""
        return 0 if self.done else self.job.request.sampling.top_logprobs

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """What ends the answer beside the model's end tokens; nothing cuts JSON or calls."""
        return () if self.structured else self.job.request.sampling.stop_token_ids

    @property
    def structured(self) -> bool:
        """Whether the answer is JSON or calls, not text."""
        return bool(self.constraint and self.constraint.structured)

    @property
    def done(self) -> bool:
        """Whether the answer is complete, or nobody wants it."""
        return self.finish_reason is not None or self.job.over

    @property
    def answer(self) -> list[int]:
        """The tokens computed so far."""
        return [token.id for token in self.tokens[: self._replayed]]

    def allowed(self, vocabulary: int, ends: frozenset[int]) -> Tensor | None:
        """Which tokens may come next, (vocabulary,) bool on the CPU; None for any.

        Before `min_tokens` no end, unless a grammar leaves nothing else.
        """
        allowed = self.constraint.allowed() if self.constraint else None
        if self.length >= self.job.request.sampling.min_tokens:
            return allowed
        longer = torch.ones(vocabulary, dtype=torch.bool) if allowed is None else allowed.clone()
        longer[[one for one in (*ends, *self.stop_token_ids) if one < vocabulary]] = False
        return longer if bool(longer.any()) else allowed

    def replay(self) -> int | None:
        """The next token id of an answer that is computed again; None once it is new."""
        return self.tokens[self._replayed].id if self._replayed < len(self.tokens) else None

    def begin(self, host: Host) -> None:
        """Start the answer, or start again to compute what there is of it."""
        sampling = self.job.request.sampling
        if not self.tokens:
            self.text = AnswerText(host.tokenizer, sampling.stop, whole_until=sampling.min_tokens)
            self._certain: list[TokenRecord] = []
        self.restart(self.job.constraint(host, self.prompt))

    def take(self, token: TokenRecord, *, end: bool, limit: int, model: str) -> None:
        """Add a token, give the caller what is new, and close the answer where it ends."""
        if self._replayed < len(self.tokens):
            self._replayed += 1
            return
        self.tokens.append(token)
        self._replayed += 1
        stop = token.id in self.stop_token_ids
        ready = self.text.add(token, whole=self.structured, silent=stop)
        if end or stop or self.text.stopped:
            self.finish_reason = "stop"
        elif len(self.tokens) >= limit:
            self.finish_reason = "length"
        if self.finish_reason:
            ready += self.text.finish()
        self._certain += ready
        text = "".join(record.text for record in ready)
        calling = self.structured and self.text.text.startswith("<")
        deltas = self.calls.read(text) if calling else []
        if calling and self.finish_reason == "stop":
            self.finish_reason = "tool_calls"
        completion = self._completion(model, calling) if self.finish_reason else None
        if ready or completion:
            self.job.sink(
                Chunk(
                    text="" if calling else text,
                    tokens=tuple(ready),
                    index=self.index,
                    completion=completion,
                    tool_calls=tuple(deltas),
                )
            )

    def _completion(self, model: str, calling: bool) -> Completion:
        assert self.finish_reason is not None
        return Completion(
            text="" if calling else self.text.text,
            finish_reason=self.finish_reason,
            usage=Usage(
                prompt_tokens=self.prompt.length,
                image_tokens=self.prompt.image_tokens,
                completion_tokens=len(self.tokens),
            ),
            tokens=tuple(self._certain),
            model=model,
            memvr=self.config,
            tool_calls=self.calls.calls,
            boxes=self._boxes(),
            decoding=self.job.decoding,
        )

    def _boxes(self) -> tuple[Box, ...]:
        """Models that write boxes mean the newest picture."""
        if not self.job.pictures:
            return ()
        text, newest = self.text.text, len(self.job.pictures) - 1
        size, scale = self.job.pictures[newest].image.size, self.job.box_scale
        # A schema's four numbers may mean anything.
        if scale is not None and not self.structured:
            return read_plain_boxes(text, *size, image=newest, scale=scale)
        return read_boxes(text, *size, image=newest)


def gather(completions: dict[int, Completion]) -> Completion:
    """The answers of one request as one completion with alternatives."""
    first, *others = (completions[index] for index in sorted(completions))
    return replace(first, alternatives=tuple(others))


def damaged(name: str) -> GenerationError:
    """The error for logits that say nothing."""
    return GenerationError(
        f"{name} gave numbers that are none (NaN, or infinite): its weights are damaged, or too "
        "large for its precision. Try dtype='float32', or download it again."
    )


def timed_out(request: Request) -> RequestTimeoutError:
    """The error for a request whose time is over."""
    return RequestTimeoutError(
        f"timeout={request.timeout} s passed before the answer was complete; raise timeout, "
        "lower max_tokens, or send fewer requests at once."
    )
