"""Which waiting rows may begin: who waits longest first, within bounds of rows and of tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.running import Running
from memvr_integrations.checks import check_integer

_SIMILAR = 1.25  # a batch of prompts may be so much wider than its shortest


@dataclass(frozen=True, kw_only=True)
class QueueConfig:
    """How many requests wait, and how many are computed together.

    `max_waiting` bounds the requests that may wait for their turn, `max_batch` the answers that
    are computed together, `max_batch_tokens` their tokens: all answers count as if each were as
    long as the longest may become, prompt included. `max_prompt_tokens` bounds the prompts that
    are read before others get their next token; none is read in parts, so one may be longer. A
    request that is larger than a bound by itself runs alone.
    """

    max_batch: int = 16
    max_batch_tokens: int = 32768
    max_prompt_tokens: int = 1024
    max_waiting: int = 256

    def __post_init__(self) -> None:
        """Refuse a queue that nothing could ever leave."""
        check_integer("max_batch", self.max_batch, least=1)
        check_integer("max_batch_tokens", self.max_batch_tokens, least=1)
        check_integer("max_prompt_tokens", self.max_prompt_tokens, least=1)
        check_integer("max_waiting", self.max_waiting, least=1)


def admitted(waiting: Iterable[Row], running: Running, config: QueueConfig) -> list[Row]:
    """Those of the waiting rows, longest first, that may begin now; all have their prompts."""
    most = min(config.max_batch, running.most or config.max_batch)
    rows, read = running.rows, 0
    longest = max((_longest(row) for row in rows), default=0)
    jobs = set()
    begin: list[Row] = []
    for row in waiting:
        if not running.can_begin(row):
            continue
        count, length = len(rows) + len(begin) + 1, max(longest, _longest(row))
        # Answers of one request read its prompt once.
        tokens = 0 if row.job in jobs else row.prompt.length
        fits = count <= most and count * length <= config.max_batch_tokens
        if not fits and count > 1:
            break
        if begin and read + tokens > config.max_prompt_tokens:
            break
        begin.append(row)
        jobs.add(row.job)
        read, longest = read + tokens, length
        if row.searches:
            break
    return begin


def prompt_batches(rows: Sequence[Row], running: Running) -> list[list[Row]]:
    """The rows in batches of similar length, whose padding costs little."""
    batches: list[list[Row]] = []
    for row in sorted(rows, key=lambda one: one.prompt.length):
        for batch in batches:
            similar = row.prompt.length <= _SIMILAR * batch[0].prompt.length
            if similar and all(running.together(other, row) for other in batch):
                batch.append(row)
                break
        else:
            batches.append([row])
    return batches


def _longest(row: Row) -> int:
    return row.prompt.length + row.most
