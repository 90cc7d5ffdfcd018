import pytest

from memvr_integrations.bundled.world import (
    CLASSES,
    PAINTABLE,
    PARTNER,
    THEMES,
    classes_of,
    plural,
    with_article,
)


def test_there_are_81_classes_in_10_themes():
    assert len(CLASSES) == 81
    assert len(THEMES) == 10


def test_partners_and_paintable_things_are_classes():
    assert {*PARTNER, *PARTNER.values(), *PAINTABLE} <= set(CLASSES)


def test_no_two_classes_share_a_word():
    words = [word for name in CLASSES for word in {name, plural(name)}]
    assert len(words) == len(set(words))


def test_plurals_and_articles():
    assert [plural(name) for name in ("knife", "bus", "fish", "cow")] == [
        "knives",
        "buses",
        "fish",
        "cows",
    ]
    assert with_article("orange cup") == "an orange cup"
    assert with_article("cup") == "a cup"


def test_a_class_of_two_themes_is_counted_once():
    assert classes_of(("farm", "street")).count("dog") == 1


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("cup", "a cup"),
        ("orange", "an orange"),
        ("bread", "a loaf of bread"),
        ("grapes", "a bunch of grapes"),
        ("scissors", "a pair of scissors"),
    ],
)
def test_one_of_a_thing_is_called_as_people_do(name, one):
    assert with_article(name) == one
