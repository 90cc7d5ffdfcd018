"""Jobs and their rows: what is reported, when, and only once."""

import math
import time
from types import SimpleNamespace

import PIL.Image
import pytest
import torch
from transformers import AutoTokenizer

from memvr_integrations.backend.decoding.jobs import Job, Row, gather
from memvr_integrations.backend.hosting.prompts.writer import Picture, Prompt
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.errors import GenerationError, RequestTimeoutError
from memvr_integrations.types import Request, SamplingParams, TokenRecord


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(str(WEIGHTS))


@pytest.fixture
def events():
    return []


@pytest.fixture
def make_row(tokenizer, events):
    def make(deadline=math.inf, **sampling):
        request = Request.ask("What?", sampling=SamplingParams(**sampling), timeout=1)
        job = Job(request=request, pictures=(), config=None, sink=events.append, deadline=deadline)
        job.prompt = Prompt(inputs={"input_ids": torch.zeros(1, 9)}, image_tokens=0, room=9)
        row = Row(job, 0)
        row.begin(SimpleNamespace(tokenizer=tokenizer))
        return row

    return make


def give(row, ids, *, limit=99, end=False):
    for number, id in enumerate(ids):
        token = TokenRecord(id=id, text="", logprob=-1.0)
        row.take(token, end=end and number == len(ids) - 1, limit=limit, model="m")


def test_every_token_is_reported_and_the_last_one_brings_the_completion(
    make_row, events, tokenizer
):
    row = make_row()
    give(row, [*tokenizer(" a dog", add_special_tokens=False).input_ids, 2], end=True)
    assert [event.text for event in events] == ["a", " dog", ""]
    assert [event.completion is None for event in events] == [True, True, False]
    done = events[-1].completion
    assert (done.text, done.finish_reason, done.usage.prompt_tokens) == ("a dog", "stop", 9)
    assert done.usage.completion_tokens == 3


def test_the_limit_ends_with_length(make_row, events, tokenizer):
    row = make_row()
    give(row, tokenizer(" a dog", add_special_tokens=False).input_ids, limit=2)
    assert row.done
    assert events[-1].completion.finish_reason == "length"


def test_a_restart_reports_nothing_twice_and_forces_what_was_reported(make_row, events, tokenizer):
    row = make_row(temperature=1.0, seed=1)
    first, second = tokenizer(" a dog", add_special_tokens=False).input_ids
    give(row, [first])
    row.begin(SimpleNamespace(tokenizer=tokenizer))
    assert row.replay() == first
    give(row, [first])
    assert row.replay() is None
    assert len(events) == 1
    give(row, [second], limit=2)
    assert events[-1].completion.text == "a dog"


def test_a_stop_token_ends_and_says_nothing(make_row, events, tokenizer):
    a, dog = tokenizer(" a dog", add_special_tokens=False).input_ids
    row = make_row(stop_token_ids=[dog])
    give(row, [a, dog])
    done = events[-1].completion
    assert (done.text, done.finish_reason) == ("a", "stop")
    assert [(token.id, token.text) for token in done.tokens] == [(a, "a"), (dog, "")]
    assert "".join(event.text for event in events) == "a"


def test_a_stop_token_does_not_cut_json(make_row, events, tokenizer):
    a, dog = tokenizer(" a dog", add_special_tokens=False).input_ids
    row = make_row(stop_token_ids=[dog])
    row.constraint = SimpleNamespace(structured=True)
    give(row, [dog, a], limit=2)
    assert events[-1].completion.finish_reason == "length"
    assert events[-1].completion.text == "dog a"


def test_no_end_comes_before_the_least_number_of_tokens(make_row):
    row = make_row(min_tokens=2, stop_token_ids=[4])
    for _ in range(2):
        assert row.allowed(6, frozenset([2, 99])).tolist() == [True, True, False, True, False, True]
        give(row, [5])
    assert row.allowed(6, frozenset([2])) is None
    assert make_row(min_tokens=1).allowed(3, frozenset()).all()


def test_a_grammar_that_leaves_an_end_alone_ends_all_the_same(make_row):
    row, allowed = make_row(min_tokens=9, stop_token_ids=[0]), [True, False, True]
    row.constraint = SimpleNamespace(structured=True, allowed=lambda: torch.tensor(allowed))
    assert row.allowed(3, frozenset([2])).tolist() == [True, False, False]
    allowed[0] = False
    assert row.allowed(3, frozenset([2])).tolist() == [False, False, True]


def boxes_of(row, tokenizer):
    give(row, tokenizer(" [25, 0, 100, 50]", add_special_tokens=False).input_ids)
    row.finish_reason = "stop"
    return row._completion("x", False).boxes


def test_plain_boxes_are_read_where_the_model_writes_them(make_row, tokenizer):
    """Of the newest picture, and not out of a schema's numbers."""
    sizes = (100, 100), (200, 80)
    pictures = [Picture(image=PIL.Image.new("RGB", size), hash="") for size in sizes]
    row, other, structured = make_row(), make_row(), make_row()
    for one in (row, other, structured):
        one.job.pictures = pictures
    row.job.box_scale = structured.job.box_scale = 100
    structured.constraint = SimpleNamespace(structured=True)
    [box] = boxes_of(row, tokenizer)
    assert (box.left, box.top, box.right, box.bottom, box.image) == (50, 0, 200, 40, 1)
    assert boxes_of(other, tokenizer) == boxes_of(structured, tokenizer) == ()


def test_a_job_fails_once(make_row, events):
    row = make_row()
    row.job.fail(GenerationError("one"))
    row.job.fail(GenerationError("two"))
    assert [str(event) for event in events] == ["one"]
    assert row.done


def test_a_passed_deadline_is_reported_and_a_cancelled_job_is_silent(make_row, events):
    late = make_row(deadline=time.monotonic() - 1)
    late.job.left.set()
    assert late.done
    assert events == []
    assert make_row(deadline=time.monotonic() - 1).done
    assert [type(event) for event in events] == [RequestTimeoutError]


def test_gather_puts_the_first_answer_in_front(make_row, events, tokenizer):
    for text in (" dog", " a"):
        give(make_row(), tokenizer(text, add_special_tokens=False).input_ids, limit=1)
    dog, a = (event.completion for event in events)
    whole = gather({1: dog, 0: a})
    assert (whole.text, [other.text for other in whole.alternatives]) == ("a", ["dog"])
