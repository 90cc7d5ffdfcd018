"""Which method an answer is explained by."""

from types import SimpleNamespace

import numpy as np
import pytest

from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.explain import ExplainConfig, Regions
from memvr_integrations.explain.explaining import explained


@pytest.mark.parametrize("method", ["attention_gradient", "route", "retracing"])
def test_packed_weights_have_no_gradients_to_trust(method):
    whole = Regions(size=(8, 8), boxes=np.array([(0, 0, 8, 8)], np.float32))
    asked = explained(
        SimpleNamespace(model="packed"),
        SimpleNamespace(regions=[whole]),
        None,
        ExplainConfig(method=method),
        gradients=False,
    )
    with pytest.raises(UnsupportedModelError, match=f"{method}.*method='occlusion'"):
        next(asked)
