"""Explanations made by hand."""

import numpy as np
import PIL.Image

from memvr_integrations.explain import ExplainedToken, Explanation


def hot(row, column, size=8, heat=1.0):
    """A map with one hot square of two by two cells."""
    values = np.full((size, size), 0.01, np.float32)
    values[row : row + 2, column : column + 2] = heat
    return values


def token(text, *maps, off=(), agreement=0.9, content=True, **fields):
    """A token of an answer, explained if there are maps, an image each."""
    states = {"on": tuple(maps), "off": tuple(off or maps)} if maps else {}
    given = {"logprob": -0.1, "output_entropy": 0.25, "entropies": {2: 0.8}, "trigger_layer": 2}
    return ExplainedToken(
        text=text,
        content=content,
        score=dict.fromkeys(states, 1.5),
        maps=states,
        agreement=(agreement,) * len(maps),
        **(given | fields),
    )


def explanation(*tokens, size=(128, 64), names=("farm.png",), pictures=None, **fields):
    """An explanation of some tokens, of plain pictures."""
    shown = pictures or [PIL.Image.new("RGB", size, (90, 120, 60)) for _ in names]
    given = {"ratio": 0.12, "threshold": 0.75, "window": (2, 5), "model": "bundled"}
    return Explanation(
        **(
            given
            | {
                "question": "Where is the dog?",
                "answer": "".join(one.text for one in tokens),
                "images": tuple(shown),
                "names": tuple(names),
                "method": "attention_gradient",
                "second": "occlusion",
                "tokens": tuple(tokens),
            }
            | fields
        )
    )
