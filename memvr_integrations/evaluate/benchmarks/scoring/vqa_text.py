"""Answers made comparable the way the VQA challenges do it, which several benchmarks share.

The steps and the small lists of number words and articles are those of the VQA evaluation
(visualqa.org): punctuation, then number words, articles and lost apostrophes. Contractions are put
together from their halves here, and double ones ("couldntve") are left alone.
"""

import re

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_NUMBER_WITH_COMMA = re.compile(r"\d,\d")
_STOP = re.compile(r"\.(?!\d)")
_STOPS = 32  # the reference passes a flag where re.sub takes a count, and 32 is its value
_ARTICLES = {"a", "an", "the"}
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_DIGITS = {name: str(value) for value, name in enumerate(_NUMBERS)} | {"none": "0"}

# Which words each lost apostrophe is given back to.
_LOST = {
    "n't": "ai are ca could did does do had has have is might must need ought sha should was were "
    "wo would",
    "'ve": "could might must should would they we you who what where",
    "'re": "they you what there why",
    "'d": "they you who how it there he where",
    "'ll": "they you who how it what why",
    "'s": "that there what where when who how why he",
}
_CONTRACTIONS = {
    word + end.replace("'", ""): word + end
    for end, words in _LOST.items()
    for word in words.split()
} | {"yall": "y'all", "oclock": "o'clock", "maam": "ma'am", "twas": "'twas"}


def without_punctuation(text: str) -> str:
    """Marks vanish where one of their kind touches a space, and else become spaces.

    So "yes, it is" -> "yes it is", "yes,it is" -> "yes it is", and "Yes.It is" -> "YesIt is": a
    full stop vanishes unless a digit follows.
    """
    numbers = _NUMBER_WITH_COMMA.search(text) is not None
    result = text
    for mark in _MARKS:
        beside_space = mark + " " in text or " " + mark in text
        result = result.replace(mark, "" if beside_space or numbers else " ")
    return _STOP.sub("", result, count=_STOPS)


def normalized(answer: str) -> str:
    """An answer as the VQA challenges compare it: "The two dogs." -> "2 dogs"."""
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    words = without_punctuation(" ".join(text.split())).split()
    words = [_DIGITS.get(word, word) for word in words if word not in _ARTICLES]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words)
