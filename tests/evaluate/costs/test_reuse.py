from tiny_subject import tiny_subject

from memvr_integrations.backend import Backend
from memvr_integrations.evaluate.costs import reuse


def test_what_is_measured_is_what_is_reused():
    subject = tiny_subject()
    with Backend(subject.loaded) as backend:
        table = reuse.Reuse(backend, subject).table(2)
        hits = backend.report().prefix_hits
    assert tuple(table.rows) == reuse.NAMES
    counts = {name: len(spread.values) for name, [spread] in table.rows.items()}
    assert counts.pop(reuse.SECOND) + counts.pop(reuse.TRIGGERS) == 2
    assert set(counts.values()) == {2}
    # In each of three rounds those that can't trigger; with random weights much else does.
    assert hits >= 6
    assert all(value > 0 for [spread] in table.rows.values() for value in spread.values)
