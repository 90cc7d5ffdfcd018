"""The control "shuffled": other images' visual tokens are retraced."""

import pytest
import torch
from memvr_models import batch, generate, prompt, shallow_llava

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import MemVRConfig, VisualMemory, retracing


@pytest.fixture(scope="module")
def model():
    return shallow_llava()


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
