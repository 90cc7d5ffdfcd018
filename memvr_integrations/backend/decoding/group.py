"""Rows that decode together, a token a step: those that share a formula of MemVR."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from memvr_integrations.backend.decoding.caches.captured import Outcome, SteadySteps
from memvr_integrations.backend.decoding.choosing import choose
from memvr_integrations.backend.decoding.decoder import Decoder
from memvr_integrations.backend.decoding.following import Followed, Followers, first_logits
from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.reading import Part, PromptReader
from memvr_integrations.backend.decoding.strategies import method_of
from memvr_integrations.backend.decoding.strategies.method import Forward, Method
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.memvr.frames import Frame
from memvr_integrations.memvr.plan import Plan, formula
from memvr_integrations.memvr.trace import RowTrace
from memvr_integrations.types.decoding import DecodingConfig


@dataclass(frozen=True)
class _Joining:
    """Rows whose prompts were read; `which` of the prompts is each row's."""

    rows: Sequence[Row]
    which: Sequence[int]
    tokens: Tensor
    parts: Sequence[Part]
    followed: Sequence[Followed]


class Group:
    """Running rows of one model; a row is whole from its prompt to its last token.

    A `closed` group takes no more rows, and one `alone` is of a row that can't join any.
    """

    def __init__(self, decoder: Decoder, *, closed: bool = False, alone: bool = False) -> None:
        self._decoder, self.closed = decoder, closed or alone
        self.rows: list[Row] = []
        self._stream = decoder.stream(alone=alone)
        self._reader = PromptReader(decoder, self._stream)
        self._steady = SteadySteps.of(decoder.capturing, self._stream)
        self._followers = Followers(decoder)
        self._next: Tensor | None = None
        self._plan: Plan | None = None
        self._config: MemVRConfig | None = None
        self._joining: _Joining | None = None

    def takes(self, row: Row) -> bool:
        """Whether a row can join: its formula is that of the others, or MemVR is off in it."""
        if self.closed and self.rows:
            return False
        config = row.config
        shared = self._config
        return config is None or shared is None or formula(config) == formula(shared)

    def read(self, rows: Sequence[Row]) -> None:
        """Read the prompts of rows, and give them their first tokens; a prompt is read once.

        Those that run already are not touched; `join` lets the new ones go on with them.
        """
        host = self._decoder.host
        for row in rows:
            row.begin(host)
        firsts, which = _distinct(host, rows)

        def within(numbers: Sequence[int], real: Tensor | None) -> AbstractContextManager[None]:
            places = {number: place for place, number in enumerate(numbers)}
            theirs = [at for at, number in enumerate(which) if number in places]
            return self._within(
                [rows[at] for at in theirs],
                [places[which[at]] for at in theirs],
                prompt=True,
                real=real,
            )

        parts = self._reader.read(firsts, within)
        # A prompt that was read again is what the later pass says.
        known = {
            number: (logits, trace)
            for part in parts
            for number, logits, trace in zip(
                part.numbers, part.reading.logits, part.traces, strict=True
            )
        }
        followed = self._followers.read(rows)
        own = torch.stack([known[number][0] for number in which])
        traces = [known[number][1] for number in which]
        tokens = self._choose(rows, own, first_logits(followed), traces)
        self._joining = _Joining(rows, which, tokens, parts, followed)

    def join(self) -> None:
        """Let the rows that were read last, and are not done, decode from now on."""
        joining, self._joining = self._joining, None
        assert joining is not None
        known = {number: part for part in joining.parts for number in part.numbers}
        for part in joining.parts:
            stay = [
                at
                for at, row in enumerate(joining.rows)
                if not row.done and known[joining.which[at]] is part
            ]
            if stay:
                places = [part.numbers.index(joining.which[at]) for at in stay]
                self._stream.join(part.reading, places)
                rows = [joining.rows[at] for at in stay]
                self._grow(rows, joining.tokens[stay], part.plan, places)
        self._followers.join(joining.followed)

    def step(self) -> None:
        """Give every row its next token; those that are done leave."""
        self._leave()
        if not self.rows:
            return
        assert self._next is not None
        own, record = self._replayed(self._next) or self._forward(self._stream.step, self._next)
        traces: Sequence[RowTrace | None] = [None] * len(self.rows)
        if record is not None:
            traces = record.steps()[0].rows
        other = self._followers.step(self.rows, self._next)
        self._next = self._choose(self.rows, own, other, traces)
        self._leave()

    def _replayed(self, tokens: Tensor) -> Outcome | None:
        """`_forward`, where it was captured; what acts inside may be another at each step."""
        steady = self._steady
        if steady is None or any(method.acts_inside for method, _ in self._methods(self.rows)):
            return None
        return steady.step(tokens, functools.partial(self._forward, sync_free=True))

    def _forward(
        self, step: Callable[[Tensor], Tensor], tokens: Tensor, *, sync_free: bool = False
    ) -> Outcome:
        """One step with all that is in the layers; the logits, and what MemVR did."""
        frame = Frame(width=1)
        with (
            self._decoder.acting(self._plan, self._config, frame, sync_free=sync_free) as acted,
            self._within(self.rows, range(len(self.rows)), prompt=False, real=None),
        ):
            own = step(tokens)
        return own, None if acted is None else acted.record()

    @contextmanager
    def _within(
        self, rows: Sequence[Row], places: Sequence[int], *, prompt: bool, real: Tensor | None
    ) -> Iterator[None]:
        """What the rows' strategies do in the layers."""
        with ExitStack() as acting:
            for method, at in self._methods(rows):
                if method.acts_inside:
                    forward = Forward(
                        rows=[rows[one] for one in at],
                        places=[places[one] for one in at],
                        prompt=prompt,
                        real=real,
                    )
                    acting.enter_context(method.within(forward))
            yield

    def _methods(self, rows: Sequence[Row]) -> list[tuple[Method[DecodingConfig], list[int]]]:
        """The strategies of some rows, and which of the rows are theirs."""
        sharing: dict[DecodingConfig, list[int]] = {}
        for at, row in enumerate(rows):
            if row.job.decoding is not None:
                sharing.setdefault(row.job.decoding, []).append(at)
        return [(method_of(self._decoder.host, config), at) for config, at in sharing.items()]

    def _choose(
        self,
        rows: Sequence[Row],
        own: Tensor,
        other: Mapping[Row, Tensor],
        traces: Sequence[RowTrace | None],
    ) -> Tensor:
        scores = own
        for method, at in self._methods(rows):
            if scores is own:
                scores = own.clone()
            theirs = [rows[one] for one in at]
            second = [other[row] for row in theirs if row in other]
            seconds = torch.stack(second) if second else None
            scores[at] = method.scores(theirs, own[at], seconds)
        return choose(self._decoder.host, rows, own, scores, traces)

    def _grow(
        self, rows: Sequence[Row], tokens: Tensor, plan: Plan | None, which: Sequence[int]
    ) -> None:
        if self._steady is not None:
            self._steady.changed()
        self._next = tokens if self._next is None else torch.cat([self._next, tokens])
        self._config = next((c for c in (row.config for row in rows) if c), self._config)
        joining = None if plan is None else plan.take(which)
        if joining is not None or self._plan is not None:
            joining = joining or Plan.idle(len(rows), tokens.device)
            before = self._plan or Plan.idle(len(self.rows), tokens.device)
            self._plan = before.join(joining) if self.rows else joining
        self.rows += rows

    def _leave(self) -> None:
        """Drop the rows that are done."""
        done = [at for at, row in enumerate(self.rows) if row.done]
        if not done:
            return
        assert self._next is not None
        if self._steady is not None:
            self._steady.changed()
        self._followers.leave([self.rows[at] for at in done])
        order = self._stream.leave(done)
        self.rows = [self.rows[at] for at in order]
        if not self.rows:
            self._next = self._plan = self._config = None
            return
        self._next = self._next[order]
        if self._plan is not None:
            plan = self._plan.take(order)
            self._plan = plan if plan.layers else None
        if self._plan is None:
            self._config = None


def _distinct(host: Host, rows: Sequence[Row]) -> tuple[list[Row], list[int]]:
    """One row for each prompt, and for each row which of them reads its own."""
    known: dict[object, int] = {}
    firsts: list[Row] = []
    which = []
    for row in rows:
        job = row.job
        inside = job.decoding is not None and method_of(host, job.decoding).acts_inside
        key = (
            row.prompt.inputs["input_ids"].numpy().tobytes(),
            tuple(picture.hash for picture in job.pictures),
            tuple(picture.hash for picture in job.evidence),
            row.config,
            job.decoding if inside else None,
        )
        if key not in known:
            known[key] = len(firsts)
            firsts.append(row)
        which.append(known[key])
    return firsts, which
