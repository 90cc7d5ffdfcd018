import pytest

from memvr_integrations.evaluate.benchmarks.scoring.vqa_text import normalized, without_punctuation


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("yes, it is", "yes it is"),
        ("yes,it is", "yes it is"),
        ("Yes.It is", "YesIt is"),
        ("1.5 litres.", "1.5 litres"),
        ("t-shirt", "t shirt"),
        ("a - b t-shirt", "a  b tshirt"),  # one dash beside a space, and all vanish
        ("1,000-2", "10002"),
        ("." * 40, "." * 8),
    ],
)
def test_punctuation(text, left):
    assert without_punctuation(text) == left


@pytest.mark.parametrize(
    ("answer", "compared"),
    [
        ("The two dogs.", "2 dogs"),
        ("None", "0"),
        ("I dont know!", "i don't know"),
        ("a cat's\ttoy", "cat 's toy"),
        ("10:30?", "10:30"),
        ("  Unanswerable. ", "unanswerable"),
    ],
)
def test_answers_as_the_challenge_compares_them(answer, compared):
    assert normalized(answer) == compared
