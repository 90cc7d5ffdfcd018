"""Whether maps point: the measures, and the command on a few scenes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from memvr_integrations.cli import app
from memvr_integrations.evaluate.faithfulness import measures
from memvr_integrations.explain import Regions

REGIONS = Regions(
    size=(40, 40),
    boxes=np.array(
        [(c * 10, r * 10, c * 10 + 10, r * 10 + 10) for r in range(4) for c in range(4)],
        np.float32,
    ),
)


def test_a_token_is_inside_if_it_shows_a_part_of_a_box():
    inside = measures.touching(REGIONS, [(5, 5, 15, 9), (30, 30, 31, 31)])
    assert inside.nonzero()[0].tolist() == [0, 1, 15]


def test_pointing_and_box_at_k():
    inside = np.array([True, True, False, False])
    assert measures.points(np.array([0.1, 0.9, 0.5, 0.2], np.float32), inside)
    assert not measures.points(np.array([0.1, 0.2, 0.5, 0.2], np.float32), inside)
    assert measures.box_at_k(np.array([0.1, 0.9, 0.5, 0.2], np.float32), inside) == 0.5


def test_overlap_is_intersection_over_union():
    assert measures.overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert measures.overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert measures.overlap((0, 0, 10, 10), (10, 0, 15, 10)) == 0


def test_the_command_measures_methods_and_controls(tmp_path):
    asked = ["eval", "explain", "--out", str(tmp_path), "--limit", "4"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "explain.json").read_text())
    rows = found["rows"]
    assert rows["attention_gradient"]["points"]["value"] >= 75
    assert rows["the thing's own boxes"]["points"]["value"] == 100
    assert rows["the thing's own boxes"]["box_at_k"]["value"] == 100
    deletion = {name: row["deletion"]["value"] for name, row in rows.items() if row["deletion"]}
    assert deletion["attention_gradient"] < deletion["a random map"]
    assert rows["wrong picture"]["points"] is not None
    assert rows["random weights"]["points"]["value"] < 100
    assert (tmp_path / "explain.md").read_text() in result.output
