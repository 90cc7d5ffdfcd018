import pytest

from memvr_integrations.backend.structured.repeats import Repeats
from memvr_integrations.backend.structured.schema_parts import EVERYWHERE


def differ(text, *keys):
    """Whether all values differ, read byte by byte; copies must not read for each other."""
    repeats = Repeats(frozenset(keys))
    for at in range(len(data := text.encode())):
        repeats.copy().read(b"[1, 1")
        if not repeats.read(data[at : at + 1]):
            return False
    return True


@pytest.mark.parametrize(
    "text",
    [
        "[1, 1]",
        "[1, 1.0]",
        '["a", "b", "a"]',
        '["é", "\\u00e9"]',
        '[{"x": 1, "y": 2}, {"y": 2, "x": 1}]',
        "[[1, 2], [1, 2]]",
        '["a]", "a]"]',
        '["\\"", "\\""]',
        '{"x": {"y": [1]}, "z": [[{"a": [1]}, {"a": [1]}]]}',
        '<tool_call>{"name": "f", "arguments": {"s": [null, null]}}</tool_call>',
    ],
)
def test_a_value_twice_is_noticed(text):
    assert not differ(text, EVERYWHERE)


@pytest.mark.parametrize(
    "text",
    ["[]", "[1, 2]", '[1, "1", true, "true"]', "[[1, 2], [2, 1]]", '["a, a", "a"]', "[1, 11]"],
)
def test_different_values_pass(text):
    assert differ(text, EVERYWHERE)


def test_a_key_twice_is_noticed():
    assert differ('{"a": 1, "b": {"a": 1}, "c": [{"a": 1}, {"a": 1}]}')
    assert not differ('{"a": 1, "b": 2, "a": 3}')
    assert not differ('{"a": {"é": 1, "\\u00e9": 2}}')


@pytest.mark.parametrize("text", ['["a", "a"', '{"a": 1, "a"', '[["a"], "b", "b"'])
def test_a_text_twice_is_noticed_at_its_last_quote(text):
    assert differ(text[:-1], EVERYWHERE)
    assert not differ(text, EVERYWHERE)


def test_only_the_named_properties_count():
    text = '{"box": [0, 0], "tags": ["a"], "deep": {"tags": [["a", "b"], ["c"]]}}'
    assert differ(text, "tags")
    assert not differ(text, "box")
    assert not differ(text.replace('"b"', '"a"'), "tags")


def test_words_are_no_json():
    assert differ("}] and more } words, [", EVERYWHERE)


def test_what_cannot_be_compared_does_not_fit():
    assert not differ("[" + "7" * 5000 + ", 1]", EVERYWHERE)
