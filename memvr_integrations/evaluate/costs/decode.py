"""What a way of decoding costs for one caller: prefill, decode, first token, whole answers.

All ways answer in turn, round after round, so that whatever else the machine does hits all alike,
and each about a picture of its own. Ratios are taken within a round. Each kind of probe has a
backend of its own, which is closed before the next way: hooks of one are no burden to another.
A backend is armed before it is measured, with MemVR off as well.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor, nn
from transformers import BatchFeature
from transformers.generation.streamers import BaseStreamer

from memvr_integrations.backend.serving.backend import Backend
from memvr_integrations.evaluate.costs.figures import Spread, Table
from memvr_integrations.evaluate.costs.subject import Subject, settle
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.memvr.choosing import ProbeKind
from memvr_integrations.types import STRATEGIES, ContrastiveConfig, Request, SamplingParams
from memvr_integrations.types.decoding import DecodingConfig, read_decoding

_QUESTION = "Describe the image."
GENERATE = "model.generate"
OFF = "off"


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way of decoding; without a kind of probe it is the model's own `generate`."""

    name: str
    probe: ProbeKind | None = "reuse"
    memvr: MemVRConfig | None = None
    decoding: DecodingConfig | None = None


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds: real ones to the first token, of the processor for all else.

    `prefill` ends where the second token begins; `decode` is for each token after that; None
    where no forwards of one token a time were seen.
    """

    first: float
    prefill: float | None
    decode: float | None
    answer: float


@dataclass
class _Steps:
    """When the model's forwards of a single token begin, by the clocks of thread and process."""

    subject: Subject
    thread: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)

    def __call__(
        self, model: nn.Module, args: tuple[object, ...], given: dict[str, object]
    ) -> None:
        ids = given.get("input_ids", args[0] if args else None)
        if isinstance(ids, Tensor) and ids.shape[-1] == 1:
            self.thread.append(self.subject.thread_seconds())
            self.process.append(self.subject.seconds())

    def decode(self, tokens: int) -> float | None:
        """Seconds a token; a strategy may run the model more than once for it."""
        a_token, left = divmod(len(self.thread), tokens - 1)
        if left or not a_token:
            return None
        return (self.thread[-a_token] - self.thread[0]) / (tokens - 2)


def memvr_ways(preset: MemVRConfig) -> list[Way]:
    """The model's own `generate`, the backend with MemVR off, and MemVR in all its moods.

    "Never triggers" pays every probe and no retracing; "always triggers" stops at the first
    probe and retraces every token.
    """
    never = preset.changed({"entropy_threshold": 9.0})
    always = preset.changed({"entropy_threshold": 0.0})
    return [
        Way(name=GENERATE, probe=None),
        Way(name=OFF),
        Way(name="as it comes", memvr=preset),
        Way(name="never triggers, reuse", memvr=never),
        Way(name="always triggers", memvr=always),
        Way(name="never triggers, strict", probe="strict", memvr=never),
        Way(name="never triggers, exact", probe="exact", memvr=never),
    ]


def strategy_ways(student: str | None = None) -> list[Way]:
    """MemVR off, and every strategy with its defaults; contrastive only with a `student`."""
    ways = [Way(name=OFF)]
    for name in STRATEGIES:
        settings: dict[str, object] = {"name": name}
        if name == ContrastiveConfig.name:
            if student is None:
                continue
            settings["student"] = student
        ways.append(Way(name=name, decoding=read_decoding(settings)))
    return ways


class Decoding:
    """One model that answers in several ways, `tokens` a time, three at least."""

    def __init__(self, subject: Subject, tokens: int) -> None:
        self._subject, self._tokens = subject, tokens
        self.chosen: dict[ProbeKind, str] = {}  # the way of each kind of probe on this model

    def rounds(self, ways: Sequence[Way], count: int) -> dict[str, list[Timing]]:
        """Every way in turn, `count` times, after one round to warm up."""
        timings: dict[str, list[Timing]] = {way.name: [] for way in ways}
        with self._subject.one_thread():
            for turn in range(count + 1):
                for name, timing in self._round(ways):
                    if turn:
                        timings[name].append(timing)
        return timings

    def _round(self, ways: Sequence[Way]) -> Iterator[tuple[str, Timing]]:
        for probe, sharing in groupby(ways, lambda way: way.probe):
            if probe is None:
                yield from ((way.name, self._generate()) for way in sharing)
                continue
            with Backend(self._subject.loaded, probe=probe) as backend:
                backend.generate(self._subject.ask(2))  # arms it
                if (chosen := backend.report().probe) is not None:
                    self.chosen[probe] = str(chosen["way"])
                for way in sharing:
                    # What is loaded once, as a student is, is loaded now.
                    backend.generate(self._request(way, 2))
                    yield way.name, self._ask(backend, way)

    def _generate(self) -> Timing:
        loaded, subject = self._subject.loaded, self._subject
        picture = next(subject.pictures)
        arrivals = _Arrivals(subject)
        with self._steps() as steps:
            started, real = subject.seconds(), subject.synchronized()
            content = [{"type": "image", "image": picture}, {"type": "text", "text": _QUESTION}]
            inputs: BatchFeature = loaded.processor.apply_chat_template(  # type: ignore[assignment]
                [{"role": "user", "content": content}],  # type: ignore[arg-type]  # for text alone
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                add_generation_prompt=True,
            )
            inputs = inputs.to(loaded.model.device, loaded.model.dtype)
            generate: Callable[..., Tensor] = loaded.model.generate  # type: ignore[assignment]
            with torch.inference_mode():
                generate(**inputs, max_new_tokens=self._tokens, do_sample=False, streamer=arrivals)
            answer = subject.seconds() - started
        assert arrivals.first is not None
        return self._timing(steps, started, arrivals.first - real, answer)

    def _ask(self, backend: Backend, way: Way) -> Timing:
        subject, first = self._subject, None
        request = self._request(way, self._tokens)
        # What takes back what it said has its first token at the end.
        searched = way.decoding is not None and way.decoding.whole
        with self._steps() as steps:
            started, real = subject.seconds(), subject.synchronized()
            if searched:
                backend.generate(request)
                first = subject.synchronized() - real
            else:
                for chunk in backend.stream(request):
                    if first is None and chunk.tokens:
                        first = subject.synchronized() - real
            settle(backend)
            answer = subject.seconds() - started
        assert first is not None
        return self._timing(steps, started, first, answer, searched=searched)

    def _request(self, way: Way, tokens: int) -> Request:
        return Request.ask(
            _QUESTION,
            next(self._subject.pictures),
            sampling=SamplingParams(max_tokens=tokens),
            memvr=way.memvr,
            decoding=way.decoding,
        )

    def _timing(
        self, steps: _Steps, started: float, first: float, answer: float, *, searched: bool = False
    ) -> Timing:
        return Timing(
            first=first,
            prefill=steps.process[0] - started if steps.process else None,
            decode=None if searched else steps.decode(self._tokens),
            answer=answer,
        )

    @contextmanager
    def _steps(self) -> Iterator[_Steps]:
        steps = _Steps(self._subject)
        handle = self._subject.loaded.model.register_forward_pre_hook(steps, with_kwargs=True)
        try:
            yield steps
        finally:
            handle.remove()


class _Arrivals(BaseStreamer):
    """Notes when the first token comes; the first call brings the prompt."""

    def __init__(self, subject: Subject) -> None:
        self._subject, self._calls = subject, 0
        self.first: float | None = None

    def put(self, value: Tensor) -> None:
        self._calls += 1
        if self._calls == 2:
            self.first = self._subject.synchronized()

    def end(self) -> None:
        pass


_KINDS: dict[str, Callable[[Timing], float | None]] = {
    "first token": lambda timing: timing.first,
    "prefill": lambda timing: timing.prefill,
    "decode": lambda timing: timing.decode,
    "answer": lambda timing: timing.answer,
}
_RATIOS = ("prefill", "decode", "answer")


def table(
    title: str,
    timings: dict[str, list[Timing]],
    base: str,
    charted: str,
    *,
    note: str = "",
    milliseconds: bool = True,
) -> Table:
    """Milliseconds (decode: a token), and ratios to `base` in the same round.

    `charted` is a kind of time whose ratio says most.
    """
    kinds = tuple(_KINDS) if milliseconds else ()
    rows = {
        name: [
            *(Spread([1000 * seconds for seconds in _seconds(measured, kind)]) for kind in kinds),
            *(_ratio(measured, timings[base], kind) for kind in _RATIOS),
        ]
        for name, measured in timings.items()
    }
    columns = [*(f"{kind}, ms" for kind in kinds), *(f"{kind} / {base}" for kind in _RATIOS)]
    charted = f"{charted} / {base}"
    return Table(title=title, columns=columns, rows=rows, charted=charted, note=note)


def _ratio(measured: Sequence[Timing], base: Sequence[Timing], kind: str) -> Spread:
    seconds = _seconds(measured, kind)
    return Spread.ratio(seconds, _seconds(base, kind)) if seconds else Spread([])


def _seconds(measured: Sequence[Timing], kind: str) -> list[float]:
    """One kind of time in each round; none if it could not be seen."""
    times = (_KINDS[kind](timing) for timing in measured)
    return [seconds for seconds in times if seconds is not None]
