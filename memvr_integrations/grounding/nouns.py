"""Singulars and plurals of English nouns, and the words of a closed list in a text."""

import re
from collections.abc import Iterable, Iterator, Mapping

_IRREGULAR = {
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "foot": "feet",
    "tooth": "teeth",
    "goose": "geese",
    "mouse": "mice",
    "ox": "oxen",
    "sheep": "sheep",
    "fish": "fish",
    "deer": "deer",
    "aircraft": "aircraft",
    "bus": "buses",
}
_OWN_S = ("ss", "us", "is", "gas", "lens", "canvas", "pants", "jeans", "scissors", "trousers")
_IES = {"cookie", "movie", "zombie", "brownie", "hoodie", "selfie", "smoothie"}
_OES = {"tomato", "potato", "hero", "mango", "buffalo"}
_VES = {"knife", "wife", "life", "loaf", "leaf", "shelf", "half", "calf", "wolf", "scarf", "thief"}
_SINGULAR = (
    {many: one for one, many in _IRREGULAR.items()}
    | {one.removesuffix("e").removesuffix("f") + "ves": one for one in _VES}
    | {"gases": "gas", "lenses": "lens", "canvases": "canvas", "bookshelves": "bookshelf"}
)


def plural(noun: str) -> str:
    """The plural of a noun, or of the last word of several: "wine glass" -> "wine glasses"."""
    head, space, last = noun.rpartition(" ")
    return head + space + _plural(last)


def _plural(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for ending in ("man", "child"):  # "policeman", "grandchild", but not "human" or "caiman"
        if word.endswith(ending) and word not in ("human", "caiman", "german", "roman"):
            return word.removesuffix(ending) + _IRREGULAR[ending]
    if word in _VES:
        return word.removesuffix("e").removesuffix("f") + "ves"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    sharp = word.endswith(("s", "x", "z", "ch", "sh"))
    return word + ("es" if sharp or word in _OES else "s")


def singular(word: str) -> str:
    """The singular of one lower-case word; as it is where it is none."""
    if word in _SINGULAR:
        return _SINGULAR[word]
    if word.endswith("men") and len(word) > len("ramen"):
        return word.removesuffix("men") + "man"
    if not word.endswith("s") or word.endswith(_OWN_S):
        return word
    if word.endswith("ies") and len(word) > len("pies") and word[:-1] not in _IES:
        return word.removesuffix("ies") + "y"
    latin = word.endswith("uses") and not word.endswith("ouses")  # walruses, but houses
    if latin or word.endswith(("sses", "xes", "ches", "shes")) or word.removesuffix("es") in _OES:
        return word.removesuffix("es")
    return word.removesuffix("s")


def forms(nouns: Iterable[str]) -> dict[str, str]:
    """From every noun and its plural to the noun; a word that is a noun itself stays that."""
    nouns = list(nouns)
    return {plural(noun): noun for noun in nouns} | {noun: noun for noun in nouns}


def named(text: str, phrases: Mapping[str, str | None]) -> Iterator[str]:
    """What a text names, in order, each as often as it is named.

    `phrases` are lower-case words, or several with spaces between, and what they mean; None for
    those that mean nothing though their last word does. Of several readings the longest is taken:
    "hot dog" is no dog.
    """
    longest = max((phrase.count(" ") + 1 for phrase in phrases), default=1)
    words = re.findall(r"[a-z]+", re.sub(r"['\u2019]s\b", "", text.lower()))
    at = 0
    while at < len(words):
        for length in range(longest, 0, -1):
            phrase = " ".join(words[at : at + length])
            if phrase in phrases:
                break
        meaning = phrases.get(phrase)
        if meaning:
            yield meaning
        at += length
