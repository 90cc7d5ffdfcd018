import pytest
import torch
from tiny_subject import Ticking, tiny_subject

from memvr_integrations.evaluate.costs import decode
from memvr_integrations.evaluate.costs.decode import Decoding, Timing, Way
from memvr_integrations.types import OPERAConfig, VCDConfig


def test_every_way_of_memvr_is_timed_and_leaves_nothing_behind():
    subject = tiny_subject()
    decoding, threads = Decoding(subject, tokens=4), torch.get_num_threads()
    timings = decoding.rounds(decode.memvr_ways(subject.preset), 1)
    assert list(timings) == [
        "model.generate",
        "off",
        "as it comes",
        "never triggers, reuse",
        "always triggers",
        "never triggers, strict",
        "never triggers, exact",
    ]
    for measured in timings.values():
        [timing] = measured
        assert 0 < timing.decode < timing.answer
        assert 0 < timing.prefill < timing.answer
        assert timing.first > 0
    assert set(decoding.chosen) == {"reuse", "strict", "exact"}
    assert torch.get_num_threads() == threads
    assert not any(one._forward_pre_hooks for one in subject.loaded.model.modules())


def test_a_token_counts_all_forwards_that_it_needs():
    tiny = tiny_subject()
    ways = [
        Way(name="model.generate", probe=None),
        Way(name="off"),
        Way(name="vcd", decoding=VCDConfig()),
        Way(name="opera", decoding=OPERAConfig()),
    ]
    timings = Decoding(Ticking(tiny.loaded, tiny.pictures), tokens=5).rounds(ways, 1)
    assert {name: timing.decode for name, [timing] in timings.items()} == {
        "model.generate": 1,
        "off": 1,
        "vcd": 2,
        "opera": None,
    }


def test_every_strategy_is_a_way_and_contrastive_with_a_student():
    names = ["off", "vcd", "icd", "dola", "flb", "opera", "rudder", "yes-bias"]
    assert [way.name for way in decode.strategy_ways()] == names
    [with_it] = [way for way in decode.strategy_ways("bundled") if way.name not in names]
    assert with_it.decoding.student == "bundled"


def test_ratios_are_taken_within_a_round():
    timings = {
        "off": [
            Timing(first=1.0, prefill=1.0, decode=0.1, answer=1.5),
            Timing(first=2.0, prefill=2.0, decode=0.2, answer=2.5),
        ],
        "twice": [
            Timing(first=2.0, prefill=2.0, decode=0.2, answer=3.0),
            Timing(first=4.0, prefill=4.0, decode=0.4, answer=5.0),
        ],
        "opera": [
            Timing(first=2.0, prefill=2.0, decode=None, answer=3.0),
            Timing(first=4.0, prefill=4.0, decode=None, answer=5.0),
        ],
    }
    table = decode.table("Decode", timings, "off", "answer")
    assert table.columns[-3:] == ["prefill / off", "decode / off", "answer / off"]
    assert [str(cell) for cell in table.rows["twice"][-3:]] == ["2.00 (2.00-2.00)"] * 3
    assert table.rows["twice"][2].median == pytest.approx(300)
    assert str(table.rows["opera"][5]) == "-"
    assert table.charted == "answer / off"
    short = decode.table("Decode", timings, "off", "answer", milliseconds=False)
    assert short.rows["off"] == table.rows["off"][-3:]
