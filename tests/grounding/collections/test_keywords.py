"""Search by words, and several rankings as one."""

import logging

from memvr_integrations.grounding.collections.fitting import fitting
from memvr_integrations.grounding.collections.fusion import fused
from memvr_integrations.grounding.collections.keywords import KeywordIndex, keywords
from memvr_integrations.grounding.collections.relevance import named_things

TEXTS = {
    "a": "A farm with two sheep and a tree.",
    "b": "A farm with an ocarina.",
    "c": "A kitchen: plates, forks and a tree.",
    "d": "",
}


def test_keywords_are_what_a_text_is_about():
    assert keywords("How many of the dogs are on a Red sofa?") == ["many", "dog", "red", "sofa"]
    assert keywords("Zwei Hündchen im Körbchen") == ["zwei", "hündchen", "im", "körbchen"]
    assert keywords("12, the and of!") == []


def test_rare_words_and_plurals_find_their_text():
    index = KeywordIndex(TEXTS)
    assert index.best("a farm with ocarinas", 2) == ["b", "a"]
    assert index.best("fork", 4) == ["c"]
    assert index.best("trees", 1) in (["a"], ["c"])
    assert index.best("a spaceship of the", 4) == []


def test_nothing_is_found_where_there_is_nothing():
    assert KeywordIndex({}).best("farm", 3) == []
    assert KeywordIndex({"d": "the of"}).best("farm", 3) == []


def test_its_debug_lines_reach_nobody(caplog):
    caplog.set_level(logging.DEBUG)
    KeywordIndex(TEXTS).best("farm", 1)
    assert not [one for one in caplog.records if one.name == "bm25s"]


def test_fusion_takes_what_several_rankings_agree_on():
    assert list(fused([(1, ["a", "b"]), (1, ["b", "c"])])) == ["b", "a", "c"]
    assert fused([(1, ["a"]), (0.5, ["a"])])["a"] == 1.5 / 61
    assert list(fused([(1, ["a", "b"]), (0.2, ["b", "a"])])) == ["a", "b"]
    assert fused([]) == {}


def test_as_many_fit_as_have_room():
    counted = []

    def tokens(count):
        counted.append(count)
        return 10 * count + 1

    assert fitting(100, 45, tokens) == 4
    assert len(counted) < 12
    assert fitting(3, 31, tokens) == 3
    assert fitting(3, 5, tokens) == 0
    assert fitting(0, 5, tokens) == 0


def test_things_are_what_a_question_names():
    assert named_things("How many cows are next to the two dogs in the picture?") == ["cow", "dog"]
