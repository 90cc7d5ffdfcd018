import pytest

from memvr_integrations.grounding.nouns import forms, plural


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("dog", "dogs"),
        ("bus", "buses"),
        ("bench", "benches"),
        ("box", "boxes"),
        ("baby", "babies"),
        ("toy", "toys"),
        ("knife", "knives"),
        ("loaf", "loaves"),
        ("giraffe", "giraffes"),
        ("tomato", "tomatoes"),
        ("policeman", "policemen"),
        ("human", "humans"),
        ("grandchild", "grandchildren"),
        ("person", "people"),
        ("mouse", "mice"),
        ("sheep", "sheep"),
        ("wine glass", "wine glasses"),
    ],
)
def test_plurals(one, many):
    assert plural(one) == many


def test_a_word_that_is_a_noun_itself_stays_that():
    found = forms(["glass", "glasses", "cup"])
    assert (found["glasses"], found["cups"], found["glass"]) == ("glasses", "cup", "glass")
