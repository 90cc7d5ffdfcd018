"""A check that raises is a finding, and none names the user."""

from pathlib import Path

import pytest

from memvr_integrations.doctor.finding import carried_out, failed, ok, shown
from memvr_integrations.errors import RequestError


def raising(error):
    def check():
        raise error

    return check


def test_a_finding_has_a_name_and_a_time():
    found = carried_out("one", lambda: ok("fine"))
    assert (found.check, found.outcome, found.says, found.advice) == ("one", "ok", "fine", None)
    assert found.seconds >= 0


@pytest.mark.parametrize(
    ("error", "says"),
    [(ZeroDivisionError("no\n good"), "ZeroDivisionError: no good"), (RequestError("no"), "no")],
)
def test_an_error_is_a_finding_with_advice(error, says):
    found = carried_out("one", raising(error))
    assert (found.outcome, found.says) == ("failed", says)
    assert "memvr doctor MODEL --json" in found.advice


def test_ctrl_c_is_none():
    with pytest.raises(KeyboardInterrupt):
        carried_out("one", raising(KeyboardInterrupt()))


def test_home_is_not_named():
    home = Path.home()
    found = carried_out("one", lambda: failed(f"{home}/models is broken", f"mend {home}/models"))
    assert (found.says, found.advice) == ("~/models is broken", "mend ~/models")


@pytest.mark.parametrize(
    ("home", "says", "shows"),
    [
        ("/srv/joe", "HF_HOME=/srv/joe is full", "HF_HOME=~ is full"),
        ("/srv/joe", "/srv/joey/a, /mnt/srv/joe/b", "/srv/joey/a, /mnt/srv/joe/b"),
        ("/srv/joe", "x" * 590 + " /srv/joe/a", "x" * 590 + " ~/a"),
        ("/", "see https://x.org//a", "see https://x.org//a"),
    ],
)
def test_a_home_is_a_whole_name(home, says, shows, monkeypatch):
    monkeypatch.setenv("HOME", home)
    assert shown(says) == shows
