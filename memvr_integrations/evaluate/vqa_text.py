"""Answers made comparable the way the VQA challenges do it, which several benchmarks share.

The steps and the small lists of number words and articles are those of the VQA evaluation
(visualqa.org): punctuation, then number words, articles and lost apostrophes. The contractions are
generated from pronouns and auxiliaries, so that rare ones may be missing here or there.
"""

import re

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_NUMBER_WITH_COMMA = re.compile(r"\d,\d")
_STOP = re.compile(r"\.(?!\d)")
_STOPS = 32  # the reference passes a flag where re.sub takes a count, and 32 is its value
_ARTICLES = {"a", "an", "the"}
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_DIGITS = {name: str(value) for value, name in enumerate(_NUMBERS)} | {"none": "0"}

_NEGATED = (
    "ai", "are", "ca", "could", "did", "does", "do", "had", "has", "have", "is", "might", "must",
    "need", "should", "was", "were", "wo", "would",
)  # fmt: skip
_WITH_HAVE = ("could", "might", "must", "should", "would", "i", "they", "we", "you", "who")
_CONTRACTIONS = {f"{verb}nt": f"{verb}n't" for verb in _NEGATED}
_CONTRACTIONS |= {f"{word}ve": f"{word}'ve" for word in _WITH_HAVE}
_CONTRACTIONS |= {f"{word}re": f"{word}'re" for word in ("they", "you")}
_CONTRACTIONS |= {f"{word}d": f"{word}'d" for word in ("they", "you", "who", "how", "it", "there")}
_CONTRACTIONS |= {f"{word}ll": f"{word}'ll" for word in ("they", "you", "who", "how", "it")}
_CONTRACTIONS |= {f"{word}s": f"{word}'s" for word in ("that", "there", "what", "where", "he")}
_CONTRACTIONS |= {"im": "i'm", "lets": "let's", "yall": "y'all", "oclock": "o'clock"}


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
