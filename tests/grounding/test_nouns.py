import pytest

from memvr_integrations.grounding.nouns import forms, plural, runs, singular


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


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("dogs", "dog"),
        ("buses", "bus"),
        ("walruses", "walrus"),
        ("houses", "house"),
        ("horses", "horse"),
        ("boxes", "box"),
        ("benches", "bench"),
        ("glasses", "glass"),
        ("lenses", "lens"),
        ("sofas", "sofa"),
        ("shoes", "shoe"),
        ("potatoes", "potato"),
        ("herons", "heron"),
        ("babies", "baby"),
        ("ties", "tie"),
        ("cookies", "cookie"),
        ("knives", "knife"),
        ("gloves", "glove"),
        ("firemen", "fireman"),
        ("mice", "mouse"),
    ],
)
def test_singulars(many, one):
    assert singular(many) == one
    assert singular(one) == one


PHOTOGRAPHED = """
    airplane atlas axe bench bookshelf bowtie bridge broccoli brush bus cactus canvas cheese
    christmas cookie couch crisis dragonfly elephant eyelash galaxy garage gas glove grandchild
    headache hero hoof horseshoe iris kangaroo kiwi lens loaf match menu mosquito mustache news nose
    oasis octopus olive ottoman peach photo prize quiz rose sandwich scarf series sheep ski sleeve
    snowman species specimen stomach sunglasses sunrise taxi thermos thief toe tomato tortoise
    trellis trolley valley vase volcano waltz walrus watch witch wolf zebra
""".split()  # noqa: SIM905


@pytest.mark.parametrize("noun", PHOTOGRAPHED)
def test_there_and_back(noun):
    assert singular(plural(noun)) == noun
    assert singular(noun) == noun


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("headaches", "headache"),
        ("irises", "iris"),
        ("atlases", "atlas"),
        ("crises", "crisis"),
        ("skis", "ski"),
        ("causes", "cause"),
        ("volcanoes", "volcano"),
        ("volcanos", "volcano"),
        ("canoes", "canoe"),
        ("peaches", "peach"),
        ("salespeople", "salesperson"),
        ("cacti", "cactus"),
        ("occupants", "occupant"),
        ("ottomans", "ottoman"),
    ],
)
def test_endings_that_mislead(many, one):
    assert singular(many) == one


@pytest.mark.parametrize("word", ["sheep", "iris", "gas", "ramen", "scissors", "grass", "red", ""])
def test_what_is_no_plural_stays(word):
    assert singular(word) == word


def test_marks_end_a_run_of_words():
    text = "The cat's wine, glass-like. Don't\nstop 2 signs"
    assert list(runs(text)) == [
        ["the", "cat", "wine"], ["glass", "like"], ["don't"], ["stop"], ["signs"]
    ]  # fmt: skip


def test_a_word_that_is_a_noun_itself_stays_that():
    found = forms(["glass", "glasses", "cup"])
    assert (found["glasses"], found["cups"], found["glass"]) == ("glasses", "cup", "glass")
