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


def placed(size, *boxes):
    return Regions(size=size, boxes=np.array(boxes, np.float32).reshape(-1, 4))


@pytest.mark.parametrize("size", [(60, 60), (61, 37), (3, 2000), (1, 1)])
def test_a_token_a_cell_in_odd_sizes(size):
    values = np.arange(35, dtype=np.float32)
    regions = grid(5, 7, size)
    assert regions.grid == (5, 7)
    np.testing.assert_allclose(regions.paint(values), values.reshape(5, 7), atol=1e-2)


def test_sums_stay_sums_whatever_the_boxes_are():
    rng = np.random.default_rng(0)
    for _ in range(50):
        width, height = rng.integers(1, 3000, 2)
        across = np.sort(rng.uniform(0, width, (20, 2)), axis=1)
        down = np.sort(rng.uniform(0, height, (20, 2)), axis=1)
        boxes = np.stack([across[:, 0], down[:, 0], across[:, 1], down[:, 1]], axis=1)
        boxes[rng.random(20) < 0.2] = np.nan
        regions = placed((int(width), int(height)), *boxes)
        values = rng.normal(size=20).astype(np.float32)
        painted = regions.paint(values)
        assert painted.shape == regions.grid
        assert painted.sum() == pytest.approx(values[~np.isnan(boxes[:, 0])].sum(), abs=1e-3)


def test_a_view_of_the_whole_lies_over_tiles():
    regions = grid(2, 2, (40, 40), (0, 0, 40, 40))
    assert regions.grid == (2, 2)
    painted = regions.paint(np.array([1, 0, 0, 0, 4], np.float32))
    assert painted.tolist() == [[2, 1], [1, 1]]


def test_a_box_between_cells_is_shared():
    regions = placed((40, 10), (0, 0, 10, 10), (10, 0, 20, 10), (25, 0, 35, 10))
    assert regions.grid == (1, 4)
    assert regions.paint(np.array([0, 0, 2], np.float32)).tolist() == [[0, 0, 1, 1]]


def test_a_grid_is_no_finer_than_a_screen_needs():
    assert grid(3, 200, (4000, 4000)).grid == (3, 64)
