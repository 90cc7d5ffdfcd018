"""A second stream through an armed model, and other images' visual tokens."""

import pytest
import torch
from memvr_models import ALWAYS, batch, generate, prompt, tiny_llava, triggers

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import MemVRConfig, VisualMemory, retracing
from memvr_integrations.memvr.arming.hooks import suspended


@pytest.fixture(scope="module")
def model():
    return tiny_llava()


@pytest.fixture(scope="module")
def one():
    return prompt([0], 5)


@torch.no_grad()
def test_a_suspended_model_is_plain_and_unseen(model, one):
    plain = model(**one).logits
    with retracing(model, ALWAYS) as trace:
        armed = model(**one).logits
        steps = len(trace.steps)
        with suspended(model):
            assert torch.equal(model(**one).logits, plain)
            ids, _ = generate(model, one)
        assert len(trace.steps) == steps
        assert torch.equal(model(**one).logits, armed)
    assert not torch.equal(armed, plain)
    assert torch.equal(ids, generate(model, one)[0])


@torch.no_grad()
def test_a_second_stream_runs_between_two_tokens(model, one):
    """With a cache of its own, as contrastive decoding does."""

    class Second:
        seen = 0

        def __call__(self, ids, scores):
            with suspended(model):
                model(**prompt([1, 2], 3), use_cache=True)
            self.seen += 1
            return scores

    with retracing(model, ALWAYS) as trace:
        expected, _ = generate(model, one)
        layers = triggers(trace)
    second = Second()
    with retracing(model, ALWAYS) as trace:
        got, _ = generate(model, one, logits_processor=[second])
    assert second.seen == 6
    assert torch.equal(got, expected)
    assert triggers(trace) == layers


def test_a_model_that_is_not_armed_stays_as_it_is(model, one):
    with suspended(model):
        generate(model, one, tokens=1)


@torch.no_grad()
def test_shuffled_retraces_the_images_that_it_is_given(model):
    config = {"entropy_threshold": 0.0, "retracing_ratio": 0.3}
    inputs = batch([prompt([0], 5), prompt([1], 7)])
    features = [model.get_image_features(prompt([i], 1)["pixel_values"]).pooler_output[0]
                for i in (2, 1)]  # fmt: skip
    memory = VisualMemory.from_rows([[one] for one in features])
    with retracing(model, MemVRConfig(**config)):
        own = generate(model, inputs)[1]
    with retracing(model, MemVRConfig(**config, control="shuffled"), memory=memory):
        other = generate(model, inputs)[1]
    assert not torch.allclose(own[0], other[0], atol=1e-3)
    assert torch.allclose(own[1], other[1], atol=1e-4)  # the second row was given its own


def test_shuffled_needs_other_images(model):
    with (
        pytest.raises(ConfigError, match="pass them as memory="),
        retracing(model, MemVRConfig(control="shuffled")),
    ):
        pass
