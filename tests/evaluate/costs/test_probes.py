import torch

from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import load_model
from memvr_integrations.evaluate.costs.probes import Comparing, compare, table


class Fixed:
    def __init__(self, *entropies):
        self.entropies = torch.tensor(entropies)[:, None]

    def begin(self):
        pass

    def __call__(self, hidden, thresholds, waiting, first):
        return self.entropies


def test_decisions_that_differ_are_counted_where_they_count():
    other = Fixed(0.7, 0.9, 0.2)
    comparing = Comparing(Fixed(0.8, 0.8, 0.9), {"other": other})
    thresholds = torch.tensor([[0.75], [0.75], [0.75]])
    waiting = torch.tensor([[True], [True], [False]])
    comparing.begin()
    assert comparing(torch.zeros(3, 1, 4), thresholds, waiting, (0, 1, 2)) is not other.entropies
    found = comparing.others["other"]
    assert comparing.decisions == 2
    torch.testing.assert_close(found.differed, [0.05], rtol=0, atol=1e-6)
    assert abs(found.off - 0.1) < 1e-6


def test_strict_decides_as_the_whole_head_on_the_bundled_model():
    loaded = load_model("bundled", LoadConfig(device="cpu", progress=False))
    with torch.inference_mode():
        found = compare(loaded, loaded.row.preset, 100, rows=3)
    assert found.decisions >= 100
    assert not found.others["strict"].differed
    assert found.others["strict"].off < 1e-5
    lines = list(table(found))
    assert len(lines) == 5
    assert "| 0.00 | - |" in lines[2]
