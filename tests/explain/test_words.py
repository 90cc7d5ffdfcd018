"""Which words of an answer are explained."""

import pytest
from explanations import token

from memvr_integrations.errors import ConfigError
from memvr_integrations.explain import ExplainConfig
from memvr_integrations.explain.words import content


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        (["Yes", ",", " there", " is", " a", " dog", "."], [1, 0, 0, 0, 0, 1, 0]),
        (["A", " str", "aw", "berry", " on", " the", " table"], [0, 1, 1, 1, 0, 0, 1]),
        (["It", "'s", " 3", "%"], [1, 1, 1, 0]),
        (["", "\n", "..."], [0, 0, 0]),
        (["B"], [1]),
    ],
)
def test_words_with_content(pieces, says):
    assert content(pieces) == [bool(one) for one in says]


def test_at_most_sixteen_words_are_chosen():
    tokens = [token(f" word{number}") for number in range(40)]
    assert ExplainConfig().chosen(tokens) == list(range(16))
    assert ExplainConfig(tokens=(5, 30, 5)).chosen(tokens) == [5, 30]
    with pytest.raises(ConfigError, match="token 40, and the answer has those from 0 to 39"):
        ExplainConfig(tokens=(40,)).chosen(tokens)
    with pytest.raises(ConfigError, match="leave it out"):
        ExplainConfig(tokens=()).chosen(tokens)
    with pytest.raises(ConfigError, match="empty"):
        ExplainConfig().chosen([])
