"""Reading prompts: each once, and what begins like another goes on from where they part."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from torch import Tensor

from memvr_integrations.backend.decoding.caches.prefixes import Prefix, Units, units_of
from memvr_integrations.backend.decoding.caches.streams import Reading, Stream, real_columns
from memvr_integrations.backend.decoding.decoder import Decoder
from memvr_integrations.backend.decoding.inputs import batch_inputs, encoded
from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies import method_of
from memvr_integrations.backend.hosting.vision import Features
from memvr_integrations.memvr.frames import Frame
from memvr_integrations.memvr.plan import Plan
from memvr_integrations.memvr.trace import RowTrace


@dataclass(frozen=True, eq=False)
class Part:
    """Prompts that were read in one forward pass, by their numbers.

    With a `twin`, what was retraced has a plain row after them in the layers above.
    """

    numbers: Sequence[int]
    reading: Reading
    plan: Plan | None
    traces: Sequence[RowTrace | None]
    twin: bool


@dataclass(eq=False)
class _Prompt:
    """A prompt that is to be read; the first of the rows that have it stands for all."""

    number: int
    row: Row
    features: Sequence[Features]
    evidence: Sequence[Features]
    units: Units | None = None
    prefix: Prefix | None = None
    shared: int = 0

    def plain_after(self, trace: RowTrace | None) -> bool:
        """Whether the positions before the last are plain in a pass that it was read in."""
        config = self.row.config
        triggered = trace is not None and trace.trigger_layer is not None
        return not (triggered and config is not None and config.scope == "all")

    def after_shared(self, image_token: int) -> Sequence[Features]:
        """The features of the pictures that are not in the shared beginning."""
        ids = self.row.prompt.inputs["input_ids"][0, : self.shared]
        covered, left = int((ids == image_token).sum()), list(self.features)
        while covered > 0:
            covered -= left.pop(0).count
        return left


Within = Callable[[Sequence[int], Tensor | None], AbstractContextManager[None]]
"""What happens in the layers while some prompts, by their numbers, are read."""


class PromptReader:
    """Reads the prompts of a stream."""

    def __init__(self, decoder: Decoder, stream: Stream) -> None:
        self._decoder, self._stream = decoder, stream

    def read(self, rows: Sequence[Row], within: Within) -> list[Part]:
        """Read the prompts of some rows, which are all different.

        Where a prompt begins like one that was read before, only the rest is read. With
        `scope="all"` that is right as long as it doesn't trigger; else it is read whole.
        """
        waiting, parts = self._prompts(rows), list[Part]()
        for last in (False, False, True):
            # One of those that begin alike goes first; the others go on from there if it is plain.
            now = waiting if last else _unlike(waiting)
            parts += self._round(now, within)
            waiting = [one for one in waiting if one not in now]
            if not waiting:
                break
            for prompt in waiting:
                self._find(prompt)
        return parts

    def _round(self, prompts: Sequence[_Prompt], within: Within) -> list[Part]:
        """Read prompts, each in one pass or, where it was taken for plain and is not, in two."""
        fresh = [prompt for prompt in prompts if prompt.prefix is None]
        parts: list[Part] = []
        for sharing in _by_prefix(prompts, even=self._decoder.masks.windowed):
            part = self._forward(sharing, within)
            traces = zip(sharing, part.traces, strict=True)
            again = [one for one, trace in traces if not one.plain_after(trace)]
            self._decoder.prefixes.used(len(sharing) - len(again), sharing[0].shared)
            self._keep(sharing, part)
            fresh += again
            parts.append(part)
        for one in fresh:
            one.prefix, one.shared = None, 0
        if fresh:
            part = self._forward(fresh, within)
            self._keep(fresh, part)
            parts.append(part)
        return parts

    def _keep(self, prompts: Sequence[_Prompt], part: Part) -> None:
        """Keep what was read plainly, for prompts to come."""
        store = self._decoder.prefixes
        for row, (one, trace) in enumerate(zip(prompts, part.traces, strict=True)):
            plain = one.plain_after(trace)
            if one.units is None or not (plain or part.twin):
                continue
            # With `scope="last"` a trigger edits the last position.
            edited = int(plain and trace is not None and trace.trigger_layer is not None)
            units = one.units[: len(one.units) - edited]
            if store.worth_keeping(units):
                at = row if plain else len(prompts)
                store.put(units, part.reading.cache, at, shared=one.shared, after=edited)

    def _prompts(self, rows: Sequence[Row]) -> list[_Prompt]:
        host = self._decoder.host
        written = [row.prompt for row in rows]
        features = encoded(host, written, [row.job.pictures for row in rows])
        evidence = features
        if host.vision is not None and any(row.job.evidence for row in rows):
            # What the control "shuffled" retraces instead of a row's own images.
            others = host.vision.encode([row.job.evidence for row in rows])
            evidence = [other or own for other, own in zip(others, features, strict=True)]
        prompts = [
            _Prompt(number, *one)
            for number, one in enumerate(zip(rows, features, evidence, strict=True))
        ]
        store = self._decoder.prefixes
        if store.limit:
            for prompt in prompts:
                store.note(prompt.row.job.pictures)
                self._find(prompt)
        return prompts

    def _find(self, prompt: _Prompt) -> None:
        """What is known of a prompt already."""
        host, row = self._decoder.host, prompt.row
        config = row.job.decoding
        if config is not None and method_of(host, config).acts_inside:
            return
        counts = [one.count for one in prompt.features]
        ids = row.prompt.inputs["input_ids"][0]
        prompt.units = units_of(ids, host.prompts.image_token, row.job.pictures, counts)
        prompt.prefix, prompt.shared = self._decoder.prefixes.find(prompt.units)

    def _forward(self, prompts: Sequence[_Prompt], within: Within) -> Part:
        """Read prompts in one pass; they share a prefix, or have none."""
        host, shared = self._decoder.host, prompts[0].shared
        prefix, numbers = prompts[0].prefix, [one.number for one in prompts]
        written = [one.row.prompt for one in prompts]
        left = [one.after_shared(host.prompts.image_token) for one in prompts]
        lengths = [prompt.length for prompt in written]
        ids = [prompt.inputs["input_ids"][0].to(host.model.device) for prompt in written]
        real = real_columns(lengths, shared, host.model.device)
        width = max(lengths) - shared
        config = next((one.row.config for one in prompts if one.row.config), None)
        plan = self._plan(prompts) if config else None
        twin = self._wants_twin(prompts)
        frame = Frame(width=width, prompt=width, real=real)
        acting = self._decoder.acting(plan, config, frame, twin=twin)
        with acting as acted, within(numbers, real):
            reading = self._stream.read(
                batch_inputs(host, written, left),
                lengths,
                real=real,
                past=prefix.cache(shared, ids) if prefix else None,
                shared=shared,
            )
        traces: Sequence[RowTrace | None] = [None] * len(prompts)
        if acted is not None:
            traces = acted.record().steps()[0].rows
        return Part(numbers, reading, plan, traces, twin)

    def _plan(self, prompts: Sequence[_Prompt]) -> Plan | None:
        images = [[tokens for own in one.evidence for tokens in own.evidence] for one in prompts]
        return self._decoder.arm().plan(images, [one.row.config for one in prompts])

    def _wants_twin(self, prompts: Sequence[_Prompt]) -> bool:
        """Whether a prompt that may be retraced shall be read plainly beside it, for others."""
        one = prompts[0]
        store, edits = self._decoder.prefixes, one.row.config and one.row.config.scope == "all"
        # Layers that add to the image positions know them of one row alone.
        added = any(own.deepstack for own in one.features)
        return bool(
            len(prompts) == 1
            and edits
            and one.units is not None
            and one.prefix is None
            and not added
            and store.likely
            and store.worth_keeping(one.units)
        )


def _by_prefix(prompts: Sequence[_Prompt], *, even: bool) -> list[list[_Prompt]]:
    """The prompts that go on from one prefix, as far as all of them share it.

    With `even` those alone that are as long: the padding of others would lie after the prefix.
    """
    sharing: dict[tuple[Prefix, int], list[_Prompt]] = {}
    for prompt in prompts:
        if prompt.prefix is not None:
            length = prompt.row.prompt.length if even else 0
            sharing.setdefault((prompt.prefix, length), []).append(prompt)
    for some in sharing.values():
        shared = min(prompt.shared for prompt in some)
        for prompt in some:
            prompt.shared = shared
    return list(sharing.values())


def _unlike(prompts: Sequence[_Prompt]) -> list[_Prompt]:
    """The prompts without those whose beginning another one is about to read."""
    chosen: list[_Prompt] = []
    for prompt in prompts:
        begun = prompt.prefix is None and any(_begin_alike(one, prompt) for one in chosen)
        if not begun:
            chosen.append(prompt)
    return chosen


def _begin_alike(one: _Prompt, other: _Prompt) -> bool:
    if one.units is None or other.units is None:
        return False
    half = min(len(one.units), len(other.units)) // 2
    return bool((one.units[:half] == other.units[:half]).all())
