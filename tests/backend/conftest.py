"""Half of the bundled model: what a backend has to keep does not need a good one."""

import pytest

from memvr_integrations.backend import Backend
from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import load_model

LAYERS = 6


def halved(**options):
    made = load_model("bundled", LoadConfig(device="cpu", progress=False, **options))
    decoder = made.model.get_decoder()
    decoder.layers = decoder.layers[:LAYERS]
    made.model.config.text_config.num_hidden_layers = LAYERS
    return made


@pytest.fixture(scope="session")
def halve():
    return halved


@pytest.fixture(scope="session")
def loaded():
    return halved()


@pytest.fixture(scope="session")
def backend():
    with Backend(halved()) as shared:
        yield shared
