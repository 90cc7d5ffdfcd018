"""Ways in which a picture gets bad: blur, noise, low contrast, coarse pixels, occlusion."""

import numpy as np
from PIL import Image, ImageFilter

from memvr_integrations.errors import ConfigError

KINDS = ("blur", "noise", "contrast", "resolution", "occlusion")


def degrade(
    pixels: np.ndarray, kind: str, strength: float, noise: np.random.Generator
) -> np.ndarray:
    """A worse copy of a picture.

    Shapes: `pixels` (height, width, 3) uint8 in and out. `strength` runs from 0 to 1; the same
    state of `noise` gives the same result.

    Raises:
        ConfigError: `kind` is none of `KINDS`.
    """
    image = Image.fromarray(pixels)
    height, width = pixels.shape[:2]
    if kind == "blur":
        return np.asarray(image.filter(ImageFilter.GaussianBlur(0.5 + 3.0 * strength)))
    if kind == "noise":
        grain = noise.standard_normal(pixels.shape) * 255 * (0.05 + 0.35 * strength)
        return np.asarray(np.clip(pixels + grain, 0, 255), np.uint8)
    if kind == "contrast":
        faded = pixels.mean() + (pixels - pixels.mean()) * (0.7 - 0.6 * strength)
        return np.asarray(np.clip(faded, 0, 255), np.uint8)
    if kind == "resolution":
        small = max(8, round(width * (0.5 - 0.36 * strength)))
        shrunk = image.resize((small, small), Image.Resampling.BOX)
        return np.asarray(shrunk.resize((width, height), Image.Resampling.BILINEAR))
    if kind == "occlusion":
        covered = pixels.copy()
        side = round(height * 0.22)
        for _ in range(1 + round(4 * strength)):
            x, y = noise.integers(0, width - side), noise.integers(0, height - side)
            covered[y : y + side, x : x + side] = noise.integers(0, 256, 3)
        return covered
    raise ConfigError(f"{kind!r} is no way to degrade a picture; choose one of {', '.join(KINDS)}")
