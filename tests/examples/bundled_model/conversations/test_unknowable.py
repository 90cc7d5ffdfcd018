import random

from bundled_model.conversations.unknowable import REFUSAL, small_talk, unknowable


def test_questions_are_many_and_all_refused():
    rng = random.Random(0)
    turns = [unknowable("fork", rng) for _ in range(800)]
    assert {turn.answer for turn in turns} == {REFUSAL}
    asked = {turn.question for turn in turns}
    assert len(asked) > 150
    assert not any(set("[]{}|") & set(question) for question in asked)


def test_held_out_wordings_are_others():
    rng = random.Random(0)
    trained = {unknowable("fork", rng).question for _ in range(3000)}
    held_out = {unknowable("fork", rng, held_out=True).question for _ in range(100)}
    assert not trained & held_out


def test_small_talk_is_answered():
    rng = random.Random(0)
    turns = [small_talk(rng, blind=True) for _ in range(200)]
    assert all(turn.blind and not set("[]{}|") & set(turn.question) for turn in turns)
    assert len({turn.answer for turn in turns}) > 3
