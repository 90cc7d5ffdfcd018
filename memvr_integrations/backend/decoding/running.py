"""Everything that runs on one model: groups of rows and searches, which take turns by step."""

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from memvr_integrations.backend.decoding.caches.captured import Capture
from memvr_integrations.backend.decoding.decoder import DEFAULT_PROBE, Decoder
from memvr_integrations.backend.decoding.explaining import Explaining
from memvr_integrations.backend.decoding.group import Group
from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies import method_of
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.out_of_memory import let_go, out_of_memory
from memvr_integrations.errors import GenerationError, MemoryExhaustedError, MemVRError
from memvr_integrations.memvr.choosing import ProbeKind

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Search:
    """A row whose answer is known at its end only."""

    rows: list[Row]
    steps: Generator[None, None, None]

    def step(self) -> None:
        """Go on for one token, unless nobody waits for it any more."""
        if self.rows[0].done or next(self.steps, self) is self:
            self.steps.close()
            self.rows = []


class Running:
    """The rows that run now, and those that run `again` because a step with them failed.

    Where memory runs out, half as many run at once (`most`) until all of them are done. Any other
    failure is one row's fault: each is computed again alone, and can only spoil its own answer.
    """

    def __init__(
        self,
        host: Host,
        *,
        prefix_bytes: int = 0,
        probe: ProbeKind = DEFAULT_PROBE,
        capture: Capture | None = None,
    ) -> None:
        self.decoder = Decoder(host, prefix_bytes, probe, capture)
        self._turns: list[Group | _Search] = []
        self.most: int | None = None
        self._short: list[Row] = []  # of memory
        self.again: list[Row] = []
        self.steps = 0

    @property
    def rows(self) -> list[Row]:
        """All rows that run."""
        return [row for turn in self._turns for row in turn.rows]

    def can_begin(self, row: Row) -> bool:
        """Whether a row can begin now: the layers that a search reads belong to one at a time."""
        return not row.searches or not any(isinstance(turn, _Search) for turn in self._turns)

    def together(self, one: Row, other: Row) -> bool:
        """Whether two rows can read their prompts in one batch."""
        if one.alone or other.alone or one.searches or other.searches:
            return False
        return self.decoder.together(one, other)

    def begin(self, batches: Sequence[Sequence[Row]]) -> None:
        """Let batches of rows begin, each of such as can read their prompts `together`."""
        self.decoder.check_model()
        try:
            self._begin(batches)
        finally:
            self.decoder.note_model()

    def _begin(self, batches: Sequence[Sequence[Row]]) -> None:
        vision = self.decoder.host.vision
        if vision is None or len(batches) == 1:
            for batch in batches:
                self.join(batch)
            return
        rows = [row for batch in batches for row in batch if not (row.done or row.searches)]
        with vision.holding():
            # Where that fails, each batch comes to its own pictures, and says whose fault it was.
            _failure(lambda: vision.encode([row.job.pictures for row in rows]))
            for batch in batches:
                self.join(batch)

    def join(self, rows: Sequence[Row]) -> None:
        """Let rows begin that can read their prompts `together`."""
        rows = [row for row in rows if not row.done]
        if not rows:
            return
        if rows[0].searches:
            self._turns.append(self._search(rows[0]))
            return
        group = self._group(rows)
        failure = _failure(lambda: group.read(rows))
        if failure is not None:
            self._read_again(rows, failure)
            return
        failure = _failure(group.join)
        if failure is not None:
            # Some of them may have joined already.
            self._discard(group, list(dict.fromkeys([*group.rows, *rows])), failure)
        elif group.rows and group not in self._turns:
            self._turns.append(group)

    def step(self) -> None:
        """Give every group and search its turn."""
        self.steps += 1
        for turn in list(self._turns):
            rows = turn.rows
            failure = _failure(turn.step)
            if failure is not None:
                self._discard(turn, rows, failure)
        self._turns = [turn for turn in self._turns if turn.rows]
        self._short = [row for row in self._short if not row.done]
        if not self._short:
            self.most = None

    def explain(self, one: Explaining) -> None:
        """Do a slice of an explanation; what goes wrong is its own fault alone."""
        decoder = self.decoder
        failure = _failure(lambda: one.step(decoder.host, decoder.masks))
        if failure is not None:
            name = decoder.host.name
            one.fail(_too_large(failure.error, name) if failure.memory else ours(failure.error))

    def forget(self) -> None:
        """Forget the prompts that were kept."""
        self.decoder.prefixes.clear()

    def close(self) -> None:
        """Let all rows go, and leave the model as it was found."""
        for turn in self._turns:
            if isinstance(turn, _Search):
                turn.steps.close()
        self._turns.clear()
        self.decoder.release()

    def _search(self, row: Row) -> _Search:
        config = row.job.decoding
        assert config is not None
        row.begin(self.decoder.host)
        return _Search([row], method_of(self.decoder.host, config).search(row))

    def _group(self, rows: Sequence[Row]) -> Group:
        alone = self.decoder.alone(rows[0])
        if alone or rows[0].alone:
            return Group(self.decoder, closed=True, alone=alone)
        for turn in self._turns:
            if isinstance(turn, Group) and all(map(turn.takes, rows)):
                return turn
        return Group(self.decoder)

    def _read_again(self, rows: Sequence[Row], failure: "_Failure") -> None:
        """Find out whose prompts can't be read."""
        if len(rows) > 1:
            size = len(rows) // 2 if failure.memory else 1
            logger.info("reading %d prompts %s; %d at a time now", len(rows), failure, size)
            for start in range(0, len(rows), size):
                self.join(rows[start : start + size])
        elif failure.memory and self._turns:
            # It can begin when others have left.
            self.most = len(self.rows)
            self._short += rows
            self.again += rows
        else:
            self._fail(rows[0], failure)

    def _discard(self, turn: Group | _Search, rows: Sequence[Row], failure: "_Failure") -> None:
        """Let go of what failed in a step; its rows begin again."""
        self._turns = [one for one in self._turns if one is not turn]
        turn.rows = []
        rows, others = [row for row in rows if not row.done], len(self.rows)
        if failure.memory and len(rows) + others > 1:
            self.most = max((len(rows) + others) // 2, 1)
            self._short += rows
        elif len(rows) == 1:
            self._fail(rows[0], failure)
            return
        else:
            for row in rows:
                row.alone = True
        logger.info("a step of %d rows %s; they begin again", len(rows), failure)
        self.again += rows

    def _fail(self, row: Row, failure: "_Failure") -> None:
        name = self.decoder.host.name
        row.job.fail(_too_large(failure.error, name) if failure.memory else ours(failure.error))


@dataclass(frozen=True)
class _Failure:
    error: Exception
    memory: bool

    def __str__(self) -> str:
        return "ran out of memory" if self.memory else f"failed ({type(self.error).__name__})"


def _failure(work: Callable[[], object]) -> _Failure | None:
    """Do some work; what went wrong, without the tensors that it held."""
    try:
        work()
    except Exception as error:
        memory = out_of_memory(error)
        if memory:
            let_go(error)
        return _Failure(error, memory)
    return None


def _too_large(error: Exception, name: str) -> MemVRError:
    failure = MemoryExhaustedError(
        f"{name} ran out of memory on a single request. Send fewer or smaller images, lower "
        "max_tokens, or load the model with quantization='4bit'."
    )
    failure.__cause__ = error
    return failure


def ours(error: Exception) -> MemVRError:
    """An error as one of this package's."""
    if isinstance(error, MemVRError):
        return error
    failure = GenerationError(f"The model failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
