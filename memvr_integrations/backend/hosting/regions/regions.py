"""Stand-in."""

import numpy as np

from memvr_integrations.explain.regions import Regions


def regions_of(host, picture, features, in_company=False):
    w, h = picture.image.size
    n = round(features.count**0.5)
    b = np.array(
        [
            [x * w / n, y * h / n, (x + 1) * w / n, (y + 1) * h / n]
            for y in range(n)
            for x in range(n)
        ],
        dtype=np.float32,
    )
    return Regions(size=(w, h), boxes=b)
