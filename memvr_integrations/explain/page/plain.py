"""An explanation as plain values."""

import math
from collections.abc import Sequence

from memvr_integrations.explain.mapped import ExplainedToken, MappedAnswer
from memvr_integrations.explain.maps import Map


def as_dict(explained: MappedAnswer) -> dict[str, object]:
    """Everything but the pictures' pixels."""
    whole = range(len(explained.images))
    return {
        "model": _text(explained.model),
        "question": _text(explained.question),
        "answer": _text(explained.answer),
        "method": explained.method,
        "second": explained.second,
        "pixels": explained.pixels,
        "state": explained.state,
        "memvr": None
        if explained.ratio is None
        else {
            "retracing_ratio": explained.ratio,
            "entropy_threshold": explained.threshold,
            "layers": list(explained.window or ()),
        },
        "images": [
            {
                "name": _text(name),
                "width": image.width,
                "height": image.height,
                "map": rounded(explained.map(at)),
                "flat": explained.flat(at),
                "box": _listed(explained.box(at)),
                "agreement": explained.agreement(at),
            }
            for at, name, image in zip(whole, explained.names, explained.images, strict=True)
        ],
        "tokens": [_token(token) for token in explained.tokens],
    }


def rounded(values: Map) -> list[list[float | None]]:
    """Numbers of four digits, row by row; None for what is no number."""
    return [[number(float(f"{value:.4g}")) for value in row] for row in values.tolist()]


def _token(token: ExplainedToken) -> dict[str, object]:
    return {
        "text": _text(token.text),
        "logprob": number(token.logprob),
        "output_entropy": None if token.output_entropy is None else number(token.output_entropy),
        "entropies": {str(layer): number(value) for layer, value in token.entropies.items()},
        "trigger_layer": token.trigger_layer,
        "content": token.content,
        "score": {state: number(value) for state, value in token.score.items()},
        "maps": {state: [rounded(one) for one in maps] for state, maps in token.maps.items()},
        "agreement": list(token.agreement),
    }


def _text(text: str) -> str:
    """A text that any file can hold: names and arguments may have bytes that are no text."""
    return text.encode("utf-8", "replace").decode()


def number(value: float) -> float | None:
    """A number, or None: JSON has no word for what is no number, or without end."""
    return value if math.isfinite(value) else None


def _listed(box: Sequence[float] | None) -> list[float] | None:
    return None if box is None else [round(edge, 1) for edge in box]
