import numpy as np
import pytest
from PIL import Image

from memvr_integrations.bundled.looks_drawn import looks_drawn


def test_drawn_scenes_pass(scenes):
    assert all(looks_drawn(Image.fromarray(scene.pixels)) for scene in scenes)


@pytest.mark.parametrize("size", [(128, 128), (640, 480)])
def test_a_busy_picture_does_not(size):
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    assert not looks_drawn(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def test_a_large_smooth_picture_does_not():
    assert not looks_drawn(Image.new("RGB", (1024, 768), "skyblue"))
