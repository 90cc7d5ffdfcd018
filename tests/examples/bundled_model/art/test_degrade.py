import numpy as np
import pytest
from bundled_model.art.degrade import KINDS, degrade

from memvr_integrations.errors import ConfigError

PICTURE = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_stronger_is_worse_and_the_same_noise_is_the_same(kind):
    smooth = np.zeros((128, 128, 3), np.uint8)
    smooth[32:96, 32:96] = (200, 30, 30)

    def damage(strength):
        worse = degrade(smooth, kind, strength, np.random.default_rng(1))
        assert worse.shape == smooth.shape
        assert worse.dtype == np.uint8
        return np.abs(worse.astype(int) - smooth).mean()

    assert 0 < damage(0.0) < damage(1.0)
    assert damage(0.5) == damage(0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_original_is_left_alone(kind):
    before = PICTURE.copy()
    degrade(PICTURE, kind, 1.0, np.random.default_rng(0))
    assert np.array_equal(PICTURE, before)


def test_an_unknown_kind_is_told():
    with pytest.raises(ConfigError, match="choose one of blur"):
        degrade(PICTURE, "rain", 1.0, np.random.default_rng(0))
