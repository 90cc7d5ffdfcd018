"""Whether a question is in words that the training asks in, things and colours aside."""

import functools
import re

from bundled_model.conversations.places import FIELD_NAMES, WAY_NAMES
from bundled_model.conversations.unknowable import ABOUT
from bundled_model.conversations.vocabulary import GROUPS, STRANGERS
from bundled_model.conversations.wordings.phrasings import TRAINED
from memvr_integrations.bundled.world import CLASSES, COLORS, NUMBERS, THEMES, plural, single

_THING, _COLOR = "#", "%"
_NAMES = (*CLASSES, *STRANGERS, *GROUPS, *(word for theme in THEMES for word in theme.split()))
_WORDS = dict.fromkeys(COLORS, _COLOR) | {
    form: _THING for name in _NAMES for form in (name, plural(name).split()[0]) if name != "orange"
}
_PARTS = re.compile(r"\[|\]|\||\{\w+\}|[a-z0-9]+")


def is_seen_wording(question: str) -> bool:
    """Whether training may ask so, but for capitals, signs and what is asked about."""
    return _trained().fullmatch(_bare(question)) is not None


def _bare(text: str) -> str:
    """A text without spaces and signs, "#" for each thing and "%" for each colour."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    bare = "".join(_WORDS.get(word, word) for word in words)
    # The fruit: a colour that stands where a thing would.
    return bare.replace("oranges", _THING)


def _one_of(names: list[str]) -> str:
    return "(?:" + "|".join(re.escape(_bare(name)) for name in names) + ")"


@functools.cache
def _trained() -> re.Pattern[str]:
    thing = f"(?:{_COLOR}?{_THING}|{_COLOR})"  # an orange
    portions = "|".join({_bare(single(name).removesuffix(name)) for name in CLASSES} - {""})
    a, the = f"(?:an?)?(?:{portions})?{thing}", f"the{thing}"  # a bunch of grapes
    slots = {
        **dict.fromkeys(("a", "b"), a),
        **dict.fromkeys(("c", "p", "q", "group", "groups"), thing),
        **{"the": the, "other": f"(?:{the}|{_COLOR})", "color": _COLOR},
        **{"is_": "(?:is|are)", "it": "(?:it|they)", "n": _one_of(list(NUMBERS))},
        **{"nth": "(?:first|second)", "number": "(?:one|two)"},
        **{"half": "(?:upper|lower|left|right)"},
        **{"field": _one_of(FIELD_NAMES), "way": _one_of(WAY_NAMES)},
    }
    signs = {"[": "(?:", "]": ")", "|": "|"}

    def translated(part: re.Match[str]) -> str:
        word = part[0]
        return signs.get(word) or (slots[word[1:-1]] if word[0] == "{" else _WORDS.get(word, word))

    patterns = [pattern for kind in TRAINED.values() for pattern in kind] + list(ABOUT)
    written = ("".join(map(translated, _PARTS.finditer(one.lower()))) for one in patterns)
    return re.compile("|".join(f"(?:{one})" for one in written))
