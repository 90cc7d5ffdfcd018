"""Singulars and plurals of English nouns, and which names of a closed list a text holds."""

import re
from collections.abc import Iterable, Iterator, Mapping

_WORD = r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*"
# Hyphens join ("hot-dog"), and so do the underscores of labels; a line's end is an end.
_RUN = re.compile(rf"{_WORD}(?:(?:[^\S\r\n]+|[-_\u2010\u2011]){_WORD})*")
_ITS_WORDS = re.compile(_WORD)
_POSSESSIVE = re.compile(r"['\u2019]s\b")

# What endings alone get wrong, of the nouns that photographs show.
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
    "bus": "buses",
    "quiz": "quizzes",
    "stomach": "stomachs",
}
_UNCHANGED = set(
    """
    sheep fish deer moose aircraft spacecraft series species news pants jeans shorts tights
    trousers pajamas pyjamas scissors pliers tongs binoculars goggles sunglasses clothes shears
    headquarters gymnastics athletics molasses
    """.split()  # noqa: SIM905
)
_NO_MAN = ("human", "caiman", "german", "roman", "ottoman", "talisman", "shaman")
_NO_MEN = ("ramen", "omen", "specimen", "abdomen", "stamen")
_IN_S = ("gas", "lens", "canvas", "atlas", "christmas", "pancreas", "rhinoceros", "thermos")
_IN_IS = ("iris", "trellis", "ibis", "mantis", "pelvis", "metropolis")  # their plural has "es"
_IN_I_OR_U = set(
    """
    ski taxi kiwi broccoli bikini zucchini panini corgi safari sari yeti jacuzzi tsunami rabbi
    menu emu gnu tutu guru bureau plateau chateau
    """.split()  # noqa: SIM905
)
_IN_IE = set(
    """
    cookie movie zombie brownie hoodie selfie smoothie magpie bowtie necktie collie genie prairie
    calorie veggie birdie budgie pixie rookie hippie beanie onesie
    """.split()  # noqa: SIM905
)
_IN_OE = ("toe", "canoe", "hoe", "oboe", "foe", "doe", "roe", "aloe", "floe", "mistletoe")
_IN_CHE = ("headache", "toothache", "backache", "mustache", "moustache", "quiche", "avalanche")
_IN_USE = ("fuse", "muse", "use", "excuse")
_OES = {"tomato", "potato", "hero", "mango", "buffalo", "volcano", "mosquito", "tornado", "echo"}
_VES = set(
    """
    knife wife life loaf leaf shelf half calf wolf scarf thief hoof elf dwarf bookshelf housewife
    werewolf penknife pocketknife
    """.split()  # noqa: SIM905
)
_SINGULAR = (
    {many: one for one, many in _IRREGULAR.items()}
    | {one: one for one in (*_UNCHANGED, *_IN_S)}
    | {one + "es": one for one in (*_IN_S, *_IN_IS)}
    | {one + "s": one for one in (*_IN_I_OR_U, *_IN_IE, *_IN_OE, *_IN_CHE, *_IN_USE)}
    | {one.removesuffix("e").removesuffix("f") + "ves": one for one in _VES}
    | {one.removesuffix("is") + "es": one for one in ("crisis", "oasis", "thesis", "parenthesis")}
    | {"cacti": "cactus", "octopi": "octopus", "fungi": "fungus"}
    | {"axes": "axe", "pickaxes": "pickaxe"}  # boxes and foxes end otherwise
)


def plural(noun: str) -> str:
    """The plural of a noun, or of the last word of several: "wine glass" -> "wine glasses"."""
    head, space, last = noun.rpartition(" ")
    return head + space + _plural(last)


def _plural(word: str) -> str:
    if word in _UNCHANGED:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for ending in ("man", "child"):  # "policeman", "grandchild", but not "human" or "caiman"
        if word.endswith(ending) and word not in _NO_MAN:
            return word.removesuffix(ending) + _IRREGULAR[ending]
    if word in _VES:
        return word.removesuffix("e").removesuffix("f") + "ves"
    if word.endswith("sis"):  # "oasis", "crisis"
        return word.removesuffix("is") + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    sharp = word.endswith(("s", "x", "z", "ch", "sh"))
    return word + ("es" if sharp or word in _OES else "s")


def singular(word: str) -> str:
    """The singular of one lower-case word; as it is where it is none."""
    if word in _SINGULAR:
        return _SINGULAR[word]
    for ending, one in [("men", "man"), ("children", "child"), ("people", "person")]:
        if word.endswith(ending) and word not in _NO_MEN:
            return word.removesuffix(ending) + one
    if not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > len("pies"):
        return word.removesuffix("ies") + "y"
    # Walruses, but houses and causes; volcanoes, but horseshoes.
    after_us = word.endswith("uses") and not word.endswith(("ouses", "auses"))
    after_o = word.endswith("oes") and not word.endswith("shoes")
    after_hiss = word.endswith(("sses", "xes", "ches", "shes", "zzes", "tzes"))
    return word.removesuffix("es" if after_us or after_o or after_hiss else "s")


def forms(nouns: Iterable[str]) -> dict[str, str]:
    """From every noun and its plural to the noun; a word that is a noun itself stays that."""
    nouns = list(nouns)
    return {plural(noun): noun for noun in nouns} | {noun: noun for noun in nouns}


def runs(text: str) -> Iterator[list[str]]:
    """The words of a text in lower case, in the runs between its marks, numbers and line ends.

    "A bottle of wine, hot-dogs" has two runs, of four and two words; "the cat's" ends in "cat".
    """
    for run in _RUN.findall(_POSSESSIVE.sub("", text.lower())):
        yield _ITS_WORDS.findall(run)


def named(text: str, phrases: Mapping[str, str | None]) -> Iterator[str]:
    """What a text names, in order, each as often as it is named.

    `phrases` are lower-case words, or several with spaces between, and what they mean; None for
    those that mean nothing though their last word does. Of several readings the longest is taken:
    "hot dog" is no dog. None reaches over a mark: "It is hot. Dogs wait." names a dog.
    """
    longest = max((phrase.count(" ") + 1 for phrase in phrases), default=1)
    for words in runs(text):
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
