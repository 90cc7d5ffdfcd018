import copy
import pickle

import pytest
from busy import Busy, at_once  # noqa: F401  # a fixture
from langchain_core import exceptions
from scripted_engine import ScriptedEngine

from memvr_integrations import errors
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.langchain.failures import told_to_langchain

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.mark.parametrize(
    ("ours", "theirs", "again"),
    [
        (errors.RequestError, "ModelInvalidRequestError", False),
        (errors.ImageError, "ModelInvalidRequestError", False),
        (errors.ContextLengthError, "ContextOverflowError", False),
        (errors.RequestTimeoutError, "ModelTimeoutError", True),
        (errors.QueueFullError, "ModelRateLimitError", True),
        (errors.ModelNotFoundError, "ModelNotFoundError", False),
        (errors.GenerationError, "ModelError", False),
    ],
)
def test_an_error_is_caught_by_both_names(ours, theirs, again):
    with pytest.raises(ours, match="why") as caught, told_to_langchain():
        raise ours("why")
    assert isinstance(caught.value, getattr(exceptions, theirs))
    assert caught.value.is_retryable is again
    assert type(caught.value).__name__ == ours.__name__


def test_the_cause_is_kept():
    cause = KeyError("x")
    with pytest.raises(errors.GenerationError) as caught, told_to_langchain():
        raise errors.GenerationError("why") from cause
    assert caught.value.__cause__ is cause


def test_an_error_told_twice_is_the_same():
    with pytest.raises(errors.RequestError) as caught, told_to_langchain(), told_to_langchain():
        raise errors.RequestError("why")
    assert type(caught.value).__bases__ == (
        errors.RequestError,
        exceptions.ModelInvalidRequestError,
    )


@pytest.mark.parametrize("remake", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_can_be_sent_to_another_process(remake):
    with pytest.raises(errors.QueueFullError) as caught, told_to_langchain():
        raise errors.QueueFullError("why")
    caught.value.add_note("on Monday")
    again = remake(caught.value)
    assert type(again) is type(caught.value)
    assert (str(again), again.__notes__) == ("why", ["on Monday"])


def test_other_errors_are_left_alone():
    with pytest.raises(ZeroDivisionError), told_to_langchain():
        _ = 1 / 0


class FullEngine(ScriptedEngine):
    """Its streams end in a full queue: the first ones before a chunk, or all after one."""

    def __init__(self, times, *, late=False):
        super().__init__()
        self.late, self.busy = late, Busy(times)

    def stream(self, request):
        if self.late:
            yield from list(super().stream(request))[:1]
        self.busy()
        yield from super().stream(request)


async def streamed(model, asynchronous):
    if asynchronous:
        return [chunk.content async for chunk in model.astream("Hi")]
    return [chunk.content for chunk in model.stream("Hi")]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_stream_is_tried_again_while_the_queue_is_full(asynchronous):
    engine = FullEngine(2)
    model = ChatMemVR(model="scripted", engine=engine)
    assert "".join(await streamed(model, asynchronous)) == "This is what the script says."
    assert engine.busy.calls == 3
    with pytest.raises(errors.QueueFullError):
        await streamed(
            ChatMemVR(model="scripted", engine=FullEngine(2), max_retries=0), asynchronous
        )


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_stream_that_has_begun_is_not_tried_again(asynchronous):
    engine = FullEngine(1, late=True)
    with pytest.raises(errors.QueueFullError):
        await streamed(ChatMemVR(model="scripted", engine=engine), asynchronous)
    assert engine.busy.calls == 1
