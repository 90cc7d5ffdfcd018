import random

from bundled_model.conversations.wordings.paraphrase import mistyped, say, typed


def test_choices_nest_and_slots_are_filled():
    said = {say("[a|b [c|d]|] {x}?", random.Random(seed), x="end") for seed in range(60)}
    assert said == {"A end?", "B c end?", "B d end?", "End?"}


def test_no_space_or_comma_is_left_before_a_mark():
    assert say("a , [please|please] .", random.Random(0)) == "A, please."
    assert say("a, [|].", random.Random(0)) == "A."


def test_a_slip_changes_one_longer_word_a_little():
    rng = random.Random(0)
    for _ in range(100):
        text = mistyped("Is the car by the elephant", rng)
        words = text.split()
        assert words[:5] == ["Is", "the", "car", "by", "the"]
        assert abs(len(words[5]) - len("elephant")) <= 1
    assert mistyped("Is it a cat", rng) == "Is it a cat"


def test_most_questions_stay_as_they_are():
    rng = random.Random(0)
    text = "Where is the elephant?"
    assert sum(typed(text, rng) == text for _ in range(500)) > 250


def test_hurried_and_polite_people_ask_the_same():
    rng = random.Random(0)
    said = {typed("What is in the picture?", rng) for _ in range(2000)}
    assert {"what's in the picture?", "Hey, What is in the picture?"} <= said
    assert "What is in the picture please?" in said
