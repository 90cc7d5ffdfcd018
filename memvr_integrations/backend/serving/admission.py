"""Which waiting rows may begin: who waits longest first, within bounds of rows and of tokens."""

from collections.abc import Iterable, Sequence

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.running import Running
from memvr_integrations.backend.serving.queueing import QueueConfig

_SIMILAR = 1.25  # a batch of prompts may be so much wider than its shortest


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
