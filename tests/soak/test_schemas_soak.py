"""A small run of schemas at random, and that it finds what it is there to find."""

from dataclasses import dataclass

import pytest
import schemas
from schemas import Asked, put, valid

from memvr_integrations.errors import ConfigError, RequestError, RequestTimeoutError

NUMBER = {"type": "integer"}


def test_schemas_at_random_are_kept_or_refused(backend):
    asked = Asked(backend, seeds=1, tokens=24)
    put(asked.ask, 5, seed=1)
    assert not asked.wrong
    assert asked.outcomes["schemas"] == 5
    assert asked.outcomes["valid"] > 1


def test_the_same_seed_gives_the_same_schemas():
    made = {seed: [] for seed in (0, 1)}
    for seed, found in made.items():
        put(found.append, 3, seed)
    again = []
    put(again.append, 3, 1)
    assert again == made[1] != made[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"a"', "is not of type"),
        ("1 2", "JSONDecodeError"),
        ("NaN", "NaN is no JSON"),
        ("1", ""),
    ],
)
def test_an_answer_is_judged(text, said):
    outcome, why = valid(text, NUMBER)
    assert outcome == ("wrong" if said else "valid")
    assert said in why


def test_a_key_that_stands_twice_is_wrong():
    assert "a key stands twice" in valid('{"a": 1, "a": 2}', {})[1]


@dataclass
class Answered:
    text: str
    finish_reason: str = "stop"


class Stub:
    """Gives, or raises, what it was made with."""

    def __init__(self, outcome):
        self._outcome = outcome

    def generate(self, request):
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return [self._outcome]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Answered("1", "length"), "it ended by 'length'"),
        (Answered("x"), "is not valid"),
        (RequestTimeoutError("late"), "no end within"),
        (RequestError("no"), "no"),
        (ConfigError("no"), "ConfigError instead of a RequestError"),
        (KeyError("x"), "KeyError instead of a RequestError"),
    ],
)
def test_every_fault_is_found(outcome, said):
    asked = Asked(Stub(outcome), seeds=1, tokens=9)
    asked.ask(NUMBER)
    [wrong] = asked.wrong
    assert wrong.startswith('{"type": "integer"}, seed 0: ')
    assert said in wrong


def test_fractions_are_judged_in_decimal_and_formats_by_their_own():
    assert valid("0.3", {"type": "number", "multipleOf": 0.1})[0] == "valid"
    assert valid("0.35", {"type": "number", "multipleOf": 0.1})[0] == "wrong"
    assert valid("2.0", NUMBER)[0] == "valid"
    assert valid("true", NUMBER)[0] == valid("2.5", NUMBER)[0] == "wrong"
    assert valid('"b"', {"format": "email"})[0] == "wrong"
    assert valid('"b"', {"format": "email", "pattern": "b"})[0] == "wrong"


def test_too_much_computing_is_found(monkeypatch):
    monkeypatch.setattr(schemas, "DEADLINE", -1)
    asked = Asked(Stub(Answered("1")), seeds=1, tokens=9)
    asked.ask(NUMBER)
    assert "s of computing" in asked.wrong[0]


def test_a_refusal_that_names_the_schema_is_right():
    asked = Asked(Stub(RequestError("This schema holds 'not'.")), seeds=3, tokens=9)
    asked.ask(NUMBER)
    assert not asked.wrong
    assert asked.outcomes["refused"] == 1
