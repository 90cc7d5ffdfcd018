"""Questions that ask the model back: is a thing in the picture, does it show what was answered."""

import math
from collections.abc import Iterable, Sequence

from memvr_integrations.grounding.nouns import singular

THING_PROMPT = "Is there a {thing} in the picture?"
RIGHT_PROMPT = (
    "Question: {query_str}\nAnswer: {response_str}\nDoes the picture show that this answer is "
    "right? Answer yes or no."
)
# Words that questions about pictures hold and no picture shows.
_NEVER_SEEN = frozenset(
    """
    picture pictures image images photo photos scene scenes many much number color colour kind
    show shows find see seen shown count look looks tell describe say says any
    one ones two three four five six seven eight nine ten first second last next near beside left
    right top bottom middle center behind front
    """.split()  # noqa: SIM905
)


def visible_things(words: Iterable[str]) -> list[str]:
    """Those of an English question's words that a picture may show, in the singular.

    `words` are in lower case, without such as "the" and "is".
    """
    seen = (word for word in words if word not in _NEVER_SEEN and not word.isdigit())
    return sorted({singular(word) for word in seen})


def relevance(probabilities: Sequence[float]) -> float:
    """How far a picture shows all of some things: the geometric mean of P(yes) for each."""
    logs = [math.log(max(one, 1e-9)) for one in probabilities]
    return math.exp(sum(logs) / len(logs))
