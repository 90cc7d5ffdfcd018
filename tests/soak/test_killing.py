"""Processes that are killed on purpose report what they did until then."""

import operator

from killing import Running

from memvr_integrations.checks import check_text


def test_what_was_reported_is_known_however_it_ended():
    ended = Running(operator.call, "x").end()
    assert (ended.reported, ended.killed, ended.error) == (["x"], False, "")
    killed = Running(operator.call, "x").end(reports=0)
    assert killed.killed
    assert not killed.error


def test_errors_are_ours_or_not():
    ours = Running(check_text, "").end()
    assert ours.typed
    assert ours.error.startswith("ConfigError: ")
    other = Running(operator.truediv, 1).end()
    assert not other.typed
    assert other.error.startswith("TypeError: ")
