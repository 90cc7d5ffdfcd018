import dataclasses
import math

import pytest

from memvr_integrations.checks import (
    check_choice,
    check_fields,
    check_integer,
    check_kind,
    check_list,
    check_number,
    check_text,
)
from memvr_integrations.errors import ConfigError, RequestError


@dataclasses.dataclass
class Settings:
    alpha: float = 1


@pytest.mark.parametrize("value", [2.0, True, "3", 0, 8])
def test_integers(value):
    with pytest.raises(ConfigError, match=r"n=.* must be an integer from 1 to 7"):
        check_integer("n", value, least=1, most=7)
    check_integer("n", 7, least=1, most=7)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", None, -3])
def test_numbers(value):
    with pytest.raises(ConfigError, match=r"x=.* must be a finite number of -2 or more"):
        check_number("x", value, least=-2, most=math.inf)
    check_number("x", -2, least=-2, most=math.inf)


@pytest.mark.parametrize("value", ["", " ", None, 3])
def test_texts(value):
    with pytest.raises(ConfigError, match=r"t=.* must be a text that is not empty"):
        check_text("t", value)
    check_text("t", "x")


def test_kinds():
    check_kind("k", None, int | None, "3")
    with pytest.raises(ConfigError, match="k='3' can't be used; give 3"):
        check_kind("k", "3", int | None, "3")
    with pytest.raises(ConfigError, match="k=dict can't be used"):
        check_kind("k", {"much": "text"}, int, "3")


def test_choices_tell_one_from_true():
    with pytest.raises(ConfigError, match="on=1 must be one of"):
        check_choice("on", 1, (True, False))


def test_fields():
    check_fields(Settings, ["alpha"])
    with pytest.raises(ConfigError, match=r"no option 'alhpa'\. Did you mean 'alpha'"):
        check_fields(Settings, ["alhpa"])


@pytest.mark.parametrize("value", ["ab", b"b", {"a": 1}, 5, None, iter("ab")])
def test_lists(value):
    with pytest.raises(RequestError, match=r"x=.* is no list; give \[\.\.\.\]\."):
        check_list("x", value, "[...]")
    assert check_list("x", ("a", "b"), "[...]") == ("a", "b")
