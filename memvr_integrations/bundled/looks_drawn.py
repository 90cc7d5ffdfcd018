"""Parts pictures that the bundled model was made for from those that it wasn't.

A rule of thumb: drawn scenes are small and stand before a background that changes from top to
bottom only. Badly degraded scenes may look like photographs to it; a picture that is neither may
pass. It only decides about a hint.
"""

import numpy as np
from PIL import Image, ImageFilter

_LARGEST = 400  # drawn scenes have 128 pixels a side; cameras make no pictures this small
_NEAR = 12  # how far, of 255, a background pixel may be from the middle of its line
_LEAST_BACKGROUND = 0.36


def looks_drawn(image: Image.Image) -> bool:
    """Whether a picture could be one of the drawn scenes."""
    if max(image.size) > _LARGEST:
        return False
    small = image.convert("RGB").resize((64, 64), Image.Resampling.BOX)
    pixels = np.asarray(small.filter(ImageFilter.GaussianBlur(1))).astype(np.float32)
    distance = np.abs(pixels - np.median(pixels, axis=1, keepdims=True)).max(-1)
    return bool((distance < _NEAR).mean() >= _LEAST_BACKGROUND)
