"""What is said of maps and tokens in words."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from memvr_integrations.explain.mapped import (
    AGREED,
    LITTLE,
    ExplainedToken,
    ExplainMethod,
    MappedAnswer,
    State,
)
from memvr_integrations.explain.maps import is_flat

Shown = Literal["on", "off", "difference"]
"""What a map on a page is of."""

_WELL = 0.8  # from this agreement on, two methods agree without more ado
_HARDLY = 0.05  # of a map; who changed less changed nothing to speak of

NAMES: dict[ExplainMethod, str] = {
    "attention_gradient": "attention x gradient",
    "occlusion": "occlusion",
    "logit_lens": "the logit lens",
    "route": "route",
    "retracing": "MemVR's retracing alone",
}
MEANING: dict[ExplainMethod, str] = {
    "attention_gradient": "The map adds up, over all layers, how much attention on each part of a "
    "picture spoke for the word. It shows what the word was read from, not why it is right.",
    "occlusion": "The map shows how much surer of the word the model is with a part of a picture "
    "than with that part hidden. It says nothing of parts that only matter together.",
    "logit_lens": "The map shows where the model, half-way, reads this very word in the picture. "
    "It says what a part looks like to the model, not whether the answer used it.",
    "route": "The map adds up what attention carried from each part of a picture towards the word "
    "or away from it. It shows what was carried, not why it is right.",
    "retracing": "The map shows what MemVR's own retracing gave to the word. Most of an answer "
    "comes in by attention, so this isn't where the answer came from.",
}
PIXELS = (
    "This model's visual tokens are no patches of a picture, so parts of the picture itself were "
    "painted over."
)
BOXES = "A frame is around the part of a picture that stands out, where two methods agree on it."
UNITS: dict[ExplainMethod, str] = {
    "attention_gradient": "what attention gave to the word's score",
    "occlusion": "by how much the word's score falls",
    "logit_lens": "chance of the word",
    "route": "what attention carried to the word's score",
    "retracing": "what retracing gave to the word's score",
}


def states_of(explained: MappedAnswer) -> list[State]:
    """The states that there are maps of, the answer's own first."""
    made = {state for at in explained.places() for state in explained.tokens[at].maps}
    if explained.ratio is None:
        made.discard("on")
    return sorted(made, key=lambda state: state != explained.state)


def three(value: float) -> str:
    """A number with three places; small ones are 0.000 whatever their sign."""
    return f"{round(value, 3) + 0.0:.3f}"


def spoken(token: ExplainedToken) -> str:
    """A token's numbers, short."""
    said = f"chance {np.exp(token.logprob):.2f}"
    if token.output_entropy is not None:
        said += f", unsureness {token.output_entropy:.2f}"
    if token.trigger_layer is not None:
        said += f", retraced after layer {token.trigger_layer}"
    return said


def detailed(token: ExplainedToken) -> str:
    """All of a token's numbers, in sentences."""
    text = token.text.strip() or "(end)"
    said = [f"\u201c{text}\u201d: log-probability {three(token.logprob)}, {spoken(token)}."]
    if token.entropies:
        layers = ", ".join(f"{layer}: {one:.2f}" for layer, one in token.entropies.items())
        said.append(f"Entropy by layer: {layers}.")
    if token.score:
        scores = ", ".join(f"{three(one)} with MemVR {state}" for state, one in token.score.items())
        said.append(f"Explained score: {scores}.")
    return " ".join(said)


def said_of(explained: MappedAnswer, image: int, tokens: Sequence[int] | None, shown: Shown) -> str:
    """How far a map can be read as a place, and whether a second method says the same."""
    if shown == "difference":
        return _changed(explained, image, tokens)
    values = explained.map(image, tokens, state=shown)
    if not np.isfinite(values).all():
        return "The map has values that are no numbers: nothing can be read from it."
    if is_flat(values):
        return "Nothing stands out here: don't read it as a place."
    share = explained.share(image, tokens, state=shown)
    if share < LITTLE:
        return "Next to nothing came from this picture: don't read it as a place."
    where = f"{share:.0%} of the heat is in this picture. " if len(explained.images) > 1 else ""
    return where + _agreed(explained, image, tokens, shown)


def _agreed(explained: MappedAnswer, image: int, tokens: Sequence[int] | None, shown: State) -> str:
    if explained.second is None:
        return "No second method was asked."
    found = explained.agreement(image, tokens) if shown == explained.state else None
    if found is None:
        return ""
    how = "agrees" if found >= _WELL else "agrees in part" if found >= AGREED else "does not agree"
    return f"A second method, {NAMES[explained.second]}, {how}: {found:.2f} (0.5 is chance)."


def _changed(explained: MappedAnswer, image: int, tokens: Sequence[int] | None) -> str:
    whole = float(explained.map(image, tokens, state="on").sum())
    change = float(np.abs(explained.difference(image, tokens)).sum())
    if not np.isfinite([whole, change]).all():
        return "The map has values that are no numbers: nothing can be read from it."
    if change <= _HARDLY * whole:
        return "MemVR changed hardly anything here: don't read it as a place."
    if whole == 0:
        return "All that was here went with MemVR."
    return f"MemVR changed {change / whole:.0%} of the map here."
