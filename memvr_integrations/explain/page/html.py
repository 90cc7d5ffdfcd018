"""The page: one file with everything in it, safe to open whatever a model or a file name says."""

import base64
import html
import io
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import numpy as np
import PIL.Image

from memvr_integrations.explain.mapped import ExplainedToken, ExplainMethod, MappedAnswer
from memvr_integrations.explain.maps import Map
from memvr_integrations.explain.page.colours import ANCHORS, LESS, MORE, coloured

_SIDE = 640  # of pictures on the page, at most
_PAGE = 960_000  # characters, all in all
_MAPS = 300_000  # of them for maps
_SIDES = (64, 48, 32, 24, 16, 8)  # of a map on the page, at most
_STEPS = 127  # that maps are rounded to, on each side of zero
_MEANING: dict[ExplainMethod, str] = {
    "attention_gradient": "The map adds up, over all layers, how much attention on each part of a "
    "picture spoke for the word. It shows what the word was read from, not why it is right.",
    "occlusion": "The map shows how much surer of the word the model is with a part of a picture "
    "than with that part hidden. It says nothing of parts that only matter together.",
    "logit_lens": "The map shows where the model, half-way, reads this very word in the picture. "
    "It says what a part looks like to the model, not whether the answer used it.",
    "route": "The map adds up what attention carried from each part of a picture towards the word "
    "or away from it; only what speaks for it is shown.",
    "retracing": "The map shows what MemVR's own retracing gave to the word. Most of an answer "
    "comes in by attention, so this isn't where the answer came from.",
}


def page(explained: MappedAnswer) -> str:
    """An explanation as one HTML file."""
    data = _json(_data(explained))
    rows = "".join(_row(token) for token in explained.tokens)
    words = "".join(_word(number, token) for number, token in enumerate(explained.tokens))
    room = (_PAGE - len(data) - len(rows) - len(words)) * 3 // 4  # pictures are written in base64
    values = {
        "TITLE": html.escape(explained.question or "An explanation"),
        "MODEL": html.escape(explained.model),
        "WORDS": words,
        "FIGURES": "".join(_figures(explained, room)),
        "STATES": "" if explained.ratio is None else _part("states.html"),
        "MEANING": html.escape(_MEANING[explained.method]),
        "ROWS": rows,
        "STYLE": _part("page.css"),
        "SCRIPT": _part("page.js"),
        "DATA": data,
    }
    # Filled in one go: what is filled in may look like a place to fill.
    pieces = _part("page.html").split("@@")
    filled = [values[one] if number % 2 else one for number, one in enumerate(pieces)]
    return "".join(filled)


def framed(whole: str) -> str:
    """A page in a frame, in which its styles stay."""
    return (
        f'<iframe srcdoc="{html.escape(whole)}" title="Where the answer came from" '
        'sandbox="allow-scripts" style="width:100%;height:640px;border:0"></iframe>'
    )


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _json(data: object) -> str:
    """JSON that can't end the script element that it is in."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _jpeg(picture: PIL.Image.Image, most: int) -> str:
    side, encoded = _SIDE, b""
    while side >= 32:
        small = picture.convert("RGB")
        small.thumbnail((side, side))
        for quality in (85, 60, 35):
            into = io.BytesIO()
            small.save(into, format="JPEG", quality=quality)
            encoded = into.getvalue()
            if len(encoded) <= most:
                return base64.b64encode(encoded).decode()
        side //= 2
    return base64.b64encode(encoded).decode()


def _figures(explained: MappedAnswer, room: int) -> Iterator[str]:
    """Each picture with its map, all of them in some bytes."""
    most = room // len(explained.images)
    for number, (image, named) in enumerate(zip(explained.images, explained.names, strict=True)):
        into = io.BytesIO()
        PIL.Image.fromarray(coloured(explained.map(number))).save(into, format="PNG")
        heat = base64.b64encode(into.getvalue()).decode()
        name = html.escape(named)
        yield (
            f'<figure><div class="frame" style="aspect-ratio:{image.width}/{image.height}">'
            f'<img class="picture" src="data:image/jpeg;base64,{_jpeg(image, most)}" alt="{name}">'
            f'<img class="heat" src="data:image/png;base64,{heat}" alt="">'
            f'<canvas class="heat" data-image="{number}" aria-hidden="true"></canvas>'
            f'</div><figcaption>{name}<span class="says"></span></figcaption></figure>'
        )


def _word(number: int, token: ExplainedToken) -> str:
    text = html.escape(token.text) or "&#9633;"
    unsure = token.output_entropy or 0.0
    mark = "" if token.trigger_layer is None else '<i class="mark" aria-hidden="true">&#9650;</i>'
    bar = f'<i class="bar" style="height:{100 * min(max(unsure, 0), 1):.0f}%"></i>'
    strip = f'<span class="strip" aria-hidden="true">{bar}</span>{mark}'
    if not token.maps:
        return f'<span class="word plain" title="not explained"><b>{text}</b>{strip}</span>'
    label = html.escape(f"{token.text.strip() or 'end'}: {_spoken(token)}")
    return (
        f'<button class="word" type="button" data-token="{number}" aria-pressed="false" '
        f'aria-label="{label}"><b>{text}</b>{strip}</button>'
    )


def _spoken(token: ExplainedToken) -> str:
    said = f"chance {np.exp(token.logprob):.2f}"
    if token.output_entropy is not None:
        said += f", unsureness {token.output_entropy:.2f}"
    if token.trigger_layer is not None:
        said += f", retraced after layer {token.trigger_layer}"
    return said


def _row(token: ExplainedToken) -> str:
    cells = (
        token.text or "(end)",
        f"{np.exp(token.logprob):.3f}",
        "" if token.output_entropy is None else f"{token.output_entropy:.2f}",
        ", ".join(f"{layer}: {value:.2f}" for layer, value in token.entropies.items()),
        "" if token.trigger_layer is None else str(token.trigger_layer),
    )
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def _data(explained: MappedAnswer) -> dict[str, object]:
    images, side = range(len(explained.images)), _side(explained)
    states = ["on", "off"] if explained.ratio is not None else ["off"]
    kept = [one for one in states if any(one in token.maps for token in explained.tokens)]
    whole = {
        state: [_scaled(explained.map(image, state=state), side) for image in images]  # type: ignore[arg-type]
        for state in kept
    }
    return {
        "state": explained.state,
        "second": explained.second,
        "anchors": ANCHORS,
        "less": LESS,
        "more": MORE,
        "whole": {
            "maps": whole,
            "flat": [explained.flat(image) for image in images],
            "agreement": [explained.agreement(image) for image in images],
        },
        "tokens": [
            {
                "text": token.text,
                "spoken": _spoken(token),
                "entropies": {str(layer): round(one, 3) for layer, one in token.entropies.items()},
                "score": {state: round(one, 4) for state, one in token.score.items()},
                "maps": {
                    state: [_scaled(one, side) for one in maps]
                    for state, maps in token.maps.items()
                },
                "flat": [explained.flat(image, [number]) for image in images] if token.maps else [],
                "agreement": list(token.agreement),
            }
            for number, token in enumerate(explained.tokens)
        ],
    }


def _side(explained: MappedAnswer) -> int:
    """How large maps may be for all of them to have room."""
    maps = [
        one for token in explained.tokens for each in token.maps.values() for one in each
    ] + 2 * [explained.map(image) for image in range(len(explained.images))]
    for side in _SIDES:
        if sum(min(m.shape[0], side) * min(m.shape[1], side) for m in maps) * 4 / 3 <= _MAPS:
            return side
    return _SIDES[-1]


def _scaled(values: Map, side: int) -> dict[str, object]:
    """A map as bytes from -127 to 127 in base64, and what the largest of them stands for."""
    rows, columns = (min(one, side) for one in values.shape)
    if (rows, columns) != values.shape:
        small = PIL.Image.fromarray(values).resize((columns, rows), PIL.Image.Resampling.BOX)
        values = np.asarray(small)
    most = float(np.abs(values).max())
    cells = np.round(values / most * _STEPS) if most else values
    written = base64.b64encode(cells.astype(np.int8).tobytes()).decode()
    return {"most": most, "columns": columns, "cells": written}
