import dataclasses
import math

import pytest

from memvr_integrations.checks import check_choice, check_fields, check_integer, check_number
from memvr_integrations.errors import ConfigError


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


def test_choices_tell_one_from_true():
    with pytest.raises(ConfigError, match="on=1 must be one of"):
        check_choice("on", 1, (True, False))


def test_fields():
    check_fields(Settings, ["alpha"])
    with pytest.raises(ConfigError, match=r"no option 'alhpa'\. Did you mean 'alpha'"):
        check_fields(Settings, ["alhpa"])
