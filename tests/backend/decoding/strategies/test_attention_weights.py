"""Watching attention: the weights are the eager ones, and nothing else changes."""

import pytest
import torch
from memvr_models import GOLDEN, going_on, prompt, tiny_llava
from torch import nn
from transformers import LlavaForConditionalGeneration

from memvr_integrations.backend.decoding.strategies.attention_weights import watched
from memvr_integrations.errors import UnsupportedModelError


def last(model):
    return model.model.language_model.layers[-1].self_attn


@torch.no_grad()
def two_steps(model, watch):
    """The logits of a prompt and a token, and what the token attended to."""
    first = model(**prompt([0], 5), use_cache=True)
    second = model(input_ids=torch.tensor([[7]]), **going_on(first), use_cache=True)
    return first.logits, second.logits, watch.take() if watch else None


def test_weights_are_the_eager_ones_and_logits_stay():
    model = tiny_llava()
    eager = LlavaForConditionalGeneration.from_pretrained(
        GOLDEN / "tiny_llava_hf", attn_implementation="eager"
    ).eval()
    plain = two_steps(model, None)
    before = last(model).config
    with watched(last(model), "tiny") as watch:
        seen = two_steps(model, watch)
    assert last(model).config is before
    assert torch.equal(seen[0], plain[0])
    assert torch.equal(seen[1], plain[1])
    with watched(last(eager), "tiny") as watch:
        expected = two_steps(eager, watch)
    assert not last(eager)._forward_hooks
    assert seen[2].shape == expected[2].shape
    assert torch.allclose(seen[2], expected[2], atol=1e-5)
    assert torch.allclose(seen[2].sum(-1), torch.ones(()), atol=1e-5)


def test_what_cannot_be_watched_is_reported():
    with (
        watched(nn.Linear(2, 2), "tiny") as watch,
        pytest.raises(UnsupportedModelError, match="The attention of tiny's last layer"),
    ):
        watch.take()
