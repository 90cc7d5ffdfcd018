"""What was lost and what came back, from counts whose answer is known."""

from collections import Counter

import pytest

from memvr_integrations.evaluate.running.restoration import (
    BLIND,
    OTHER,
    RIGHT,
    SIGHTED,
    Restored,
    as_markdown,
    balanced,
    compared,
)


def counts(**rights):
    """Of two questions of either kind, so many right ones by way: (yes, no)."""
    return Counter(
        {
            key: value
            for way, (yes, no) in rights.items()
            for key, value in (
                (f"{way}/Yes", 2),
                (f"{way}/Yes/right", yes),
                (f"{way}/No", 2),
                (f"{way}/No/right", no),
            )
        }
    )


def lines(layer=3, groups=40, **rights):
    """Of so many groups alike."""
    return compared(layer, [BLIND, RIGHT, OTHER], {str(n): counts(**rights) for n in range(groups)})


def test_always_the_same_answer_is_worth_fifty():
    assert balanced({"x/Yes": 3, "x/Yes/right": 3, "x/No": 9}, "x") == 50
    assert balanced({"x/anything else": 4, "x/anything else/right": 3}, "x") == 75
    assert balanced(counts(x=(2, 1)), "x") == 75


def test_the_share_restored_is_of_what_was_lost():
    rights = {SIGHTED: (2, 2), BLIND: (2, 0), RIGHT: (2, 1), OTHER: (2, 0)}
    blind, right, other = lines(**rights)
    assert (blind.way, blind.right.value, blind.gain) == (BLIND, 50, None)
    assert right.gain.value == 25
    assert right.restored.value == pytest.approx(50)
    assert right.over_other.value == 25
    assert other.restored.value == 0
    assert other.over_other is None


def test_where_nothing_was_lost_nothing_is_restored():
    found = lines(6, **dict.fromkeys((SIGHTED, BLIND, RIGHT, OTHER), (2, 2)))
    assert found[1].restored is None
    assert "| from layer 6 | memvr | 100.0 [100.0, 100.0] | +0.00" in as_markdown(found)
    assert as_markdown(found).splitlines()[3].split("|")[5].strip() == "-"


def test_intervals_resample_groups():
    ways = (SIGHTED, BLIND, RIGHT, OTHER)
    lucky = [counts(**dict.fromkeys(ways, (right, right))) for right in [2] * 20 + [0] * 20]
    blind, *_ = compared(3, ways[1:], {str(n): one for n, one in enumerate(lucky)})
    assert blind.right.low < 45 < 55 < blind.right.high
    assert (
        as_markdown([Restored(from_layer=None, way="sighted", right=blind.right)]).count("\n") == 2
    )
