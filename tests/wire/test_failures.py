import pytest

from memvr_integrations import errors
from memvr_integrations.wire.failures import failure_of

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.MemVRError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_status(kind):
    needs = (None, 0.5, 0.2) if kind is errors.AbstentionError else ("why",)
    found = failure_of(kind(*needs))
    assert 400 <= found.status < 600
    assert found.retryable is issubclass(kind, errors.QueueFullError | errors.RequestTimeoutError)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.ContextLengthError("why"), 400, "context_length_exceeded"),
        (errors.ImageError("why"), 400, "invalid_image"),
        (errors.ModelNotFoundError("why"), 404, "model_not_found"),
        (errors.QueueFullError("why"), 429, "queue_full"),
        (errors.GenerationError("why"), 500, "model_failed"),
        (errors.AbstentionError("yes", 0.5, 0.2), 422, "abstained"),
    ],
)
def test_the_nearest_class_counts(error, status, code):
    assert (failure_of(error).status, failure_of(error).code) == (status, code)
