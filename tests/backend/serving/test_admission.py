"""Who may begin: the order of waiting, and bounds of rows and tokens."""

import math
from types import SimpleNamespace

import pytest
import torch

from memvr_integrations.backend import QueueConfig
from memvr_integrations.backend.decoding.jobs import Job, Row
from memvr_integrations.backend.hosting.prompts.writer import Prompt
from memvr_integrations.backend.serving.admission import admitted, prompt_batches
from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Request, SamplingParams
from memvr_integrations.types.decoding import OPERAConfig


def rows_of(prompt, answer=10, *, n=1, decoding=None, config=None):
    sampling = SamplingParams(max_tokens=answer, n=n)
    job = Job(
        request=Request.ask("What?", sampling=sampling),
        pictures=(),
        config=config,
        sink=lambda event: None,
        deadline=math.inf,
        decoding=decoding,
    )
    ids = torch.zeros(1, prompt, dtype=torch.long)
    job.prompt = Prompt(inputs={"input_ids": ids}, image_tokens=0, room=10_000)
    return [Row(job, index) for index in range(n)]


def row_of(prompt, answer=10, **options):
    [row] = rows_of(prompt, answer, **options)
    return row


def running(*rows, most=None, searching=False):
    def can_begin(row):
        return row.job.decoding is None or not searching

    def together(one, other):
        return one.job.config == other.job.config

    return SimpleNamespace(rows=list(rows), most=most, can_begin=can_begin, together=together)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_batch": 0},
        {"max_waiting": 0},
        {"max_batch_tokens": 0},
        {"max_prompt_tokens": 0},
        {"max_batch": 1.5},
        {"max_prompt_tokens": "all"},
    ],
)
def test_a_queue_that_nothing_leaves_is_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        QueueConfig(**settings)


def test_who_waits_longest_begins_first_and_nobody_overtakes():
    waiting = [row_of(size) for size in (30, 900, 20, 20)]
    config = QueueConfig(max_prompt_tokens=100)
    assert admitted(waiting, running(), config) == waiting[:1]
    assert admitted(waiting[1:], running(), config) == waiting[1:2]
    assert admitted(waiting[2:], running(), config) == waiting[2:]


def test_rows_are_bounded_with_those_that_run():
    waiting = [row_of(10) for _ in range(9)]
    config = QueueConfig(max_batch=5)
    assert admitted(waiting, running(), config) == waiting[:5]
    assert admitted(waiting, running(row_of(9), row_of(9)), config) == waiting[:3]
    assert admitted(waiting, running(*waiting[:5]), config) == []


def test_where_memory_ran_out_fewer_begin():
    waiting = [row_of(10) for _ in range(9)]
    assert admitted(waiting, running(most=3), QueueConfig(max_batch=5)) == waiting[:3]
    assert admitted(waiting, running(row_of(5), most=1), QueueConfig()) == []


@pytest.mark.parametrize("already", [0, 1])
def test_tokens_are_counted_as_if_all_were_as_long_as_the_longest_may_become(already):
    config = QueueConfig(max_batch_tokens=400)
    runs = [row_of(90, 10)] * already  # a hundred at most
    waiting = [row_of(10, 20), row_of(10, 20), row_of(80, 20), row_of(10, 20), row_of(10, 20)]
    # Three or four of a hundred fit; shorter ones take as much beside them.
    assert len(admitted(waiting, running(*runs), config)) == 4 - already


def test_a_long_row_waits_until_it_fits_and_holds_up_those_after_it():
    config = QueueConfig(max_batch_tokens=1000)
    waiting = [row_of(10, 20), row_of(300, 200), row_of(10, 20)]
    assert admitted(waiting, running(), config) == waiting[:2]
    assert admitted(waiting[1:], running(row_of(10), row_of(10)), config) == []
    assert admitted(waiting[1:], running(row_of(10)), config) == waiting[1:2]


def test_what_is_larger_than_a_bound_runs_alone():
    config = QueueConfig(max_batch_tokens=50, max_prompt_tokens=50)
    waiting = [row_of(300, 10), row_of(10)]
    assert admitted(waiting, running(), config) == waiting[:1]
    assert admitted(waiting, running(row_of(5)), config) == []
    assert admitted(waiting[1:], running(waiting[0]), config) == []


def test_a_prompt_is_counted_once_for_all_its_answers():
    waiting = [*rows_of(60, n=6), *rows_of(60, n=2)]
    config = QueueConfig(max_prompt_tokens=100)
    assert admitted(waiting, running(), config) == waiting[:6]
    config = QueueConfig(max_prompt_tokens=120)
    assert admitted(waiting, running(), config) == waiting


def test_one_search_begins_at_a_time_and_those_that_wait_are_passed():
    search = OPERAConfig()
    one, other = row_of(10, decoding=search), row_of(10, decoding=search)
    plain = [row_of(10), row_of(10)]
    assert admitted([one, *plain], running(), QueueConfig()) == [one]
    assert admitted([other, *plain], running(one, searching=True), QueueConfig()) == plain


def test_prompts_of_similar_length_are_read_together():
    rows = [row_of(size) for size in (100, 10, 125, 126, 12, 101)]
    batches = prompt_batches(rows, running())
    sizes = [[row.prompt.length for row in batch] for batch in batches]
    assert sizes == [[10, 12], [100, 101, 125], [126]]


def test_prompts_that_do_not_go_together_are_read_apart():
    one, other = MemVRConfig(), MemVRConfig(scope="last")
    rows = [row_of(10, config=config) for config in (one, other, one)]
    batches = prompt_batches(rows, running())
    assert [[row.job.config for row in batch] for batch in batches] == [[one, one], [other]]


def test_alternatives_beyond_the_bound_are_all_computed(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=2))
    with endless(backend) as passes:
        [answer] = backend.generate(ask(n=5, temperature=1.0, seed=1, max_tokens=3))
    assert len(answer.alternatives) == 4
    # Two by two, each pair's prompt read once.
    assert passes.rows == [1, 2, 2, 1, 2, 2, 1, 1, 1]


def test_who_is_done_makes_room_at_once(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=3))
    with endless(backend) as passes:
        backend.generate([ask(f"{n}?", max_tokens=tokens) for n, tokens in enumerate((9, 3, 3, 3))])
    assert max(passes.rows) == 3
    # The fourth begins after two steps and takes two, all within the eight of the longest.
    assert backend.steps == 8


def test_a_bound_of_tokens_holds_through_the_whole_backend(make_backend, ask, endless):
    requests = [ask(f"{n}?", max_tokens=4) for n in range(6)]
    longest = make_backend().count(requests[0]).prompt_tokens + 4
    backend = make_backend(queueing=QueueConfig(max_batch_tokens=2 * longest + 1))
    with endless(backend) as passes:
        assert len(backend.generate(requests)) == 6
    assert max(passes.rows) == 2
