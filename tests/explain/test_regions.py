"""From visual tokens to maps over the picture."""

import numpy as np
import pytest

from memvr_integrations.explain import Regions


def grid(rows, columns, size, *more):
    width, height = size
    boxes = [
        (c * width / columns, r * height / rows, (c + 1) * width / columns, (r + 1) * height / rows)
        for r in range(rows)
        for c in range(columns)
    ]
    return Regions(size=size, boxes=np.array([*boxes, *more], np.float32))


NOWHERE = (np.nan,) * 4


def test_an_even_grid_is_painted_as_it_is():
    regions = grid(3, 5, (100, 30), NOWHERE)
    values = np.arange(16, dtype=np.float32)
    assert regions.grid == (3, 5)
    np.testing.assert_allclose(regions.paint(values), values[:15].reshape(3, 5), atol=1e-5)


def test_nothing_is_lost_or_made():
    rng = np.random.default_rng(0)
    whole = grid(2, 2, (90, 70))
    fine = grid(7, 9, (90, 70))
    both = Regions(size=(90, 70), boxes=np.concatenate([whole.boxes, fine.boxes]))
    values = rng.random(len(both.boxes)).astype(np.float32)
    painted = both.paint(values)
    assert painted.shape == (7, 9)
    assert painted.sum() == pytest.approx(values.sum(), rel=1e-4)


def test_a_picture_without_places_has_one_cell():
    regions = Regions(size=(10, 10), boxes=np.array([NOWHERE, NOWHERE], np.float32), patches=False)
    assert regions.grid == (1, 1)
    assert regions.paint(np.ones(2, np.float32)).tolist() == [[0.0]]


def test_middles():
    regions = grid(2, 2, (100, 100), NOWHERE)
    assert regions.middle_in((0, 0, 60, 100)).tolist() == [True, False, True, False, False]
