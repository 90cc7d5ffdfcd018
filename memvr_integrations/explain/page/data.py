"""What a page's script needs: maps as bytes, and what to say of each."""

import base64

import numpy as np
import PIL.Image

from memvr_integrations.explain.mapped import MappedAnswer
from memvr_integrations.explain.maps import Map, finite
from memvr_integrations.explain.page.colours import ANCHORS, FAINT, LESS, MORE, STRONG
from memvr_integrations.explain.page.plain import number
from memvr_integrations.explain.page.wording import Shown, detailed, said_of, states_of

_ROOM = 300_000  # characters for all maps
_SIDES = (64, 48, 32, 24, 16, 8)  # of a map on the page, at most
_STEPS = 127  # that maps are rounded to, on each side of zero


def data(explained: MappedAnswer) -> dict[str, object]:
    """Maps by token, state and image, and sentences likewise; tokens are those explained."""
    side, states = _side(explained), states_of(explained)
    shown: list[Shown] = [*states, "difference"] if len(states) > 1 else [*states]
    return {
        "state": states[0],
        "anchors": ANCHORS,
        "less": LESS,
        "more": MORE,
        "faint": FAINT,
        "strong": STRONG,
        "threshold": explained.threshold,
        "whole": {
            "tokens": explained.places(),
            "details": "The map of the whole answer: its words with content together.",
            "says": _says(explained, None, shown),
            "boxes": _boxes(explained, None),
        },
        "tokens": {
            str(at): _token(explained, at, shown, side)
            for at, token in enumerate(explained.tokens)
            if token.maps
        },
    }


def _token(explained: MappedAnswer, at: int, shown: list[Shown], side: int) -> dict[str, object]:
    token = explained.tokens[at]
    return {
        "details": detailed(token),
        "entropies": [[layer, number(round(one, 3))] for layer, one in token.entropies.items()],
        "trigger": token.trigger_layer,
        "says": _says(explained, at, shown),
        "boxes": _boxes(explained, at),
        "maps": {state: [_scaled(one, side) for one in maps] for state, maps in token.maps.items()},
    }


def _says(explained: MappedAnswer, token: int | None, shown: list[Shown]) -> dict[str, list[str]]:
    tokens = None if token is None else [token]
    images = range(len(explained.images))
    return {one: [said_of(explained, image, tokens, one) for image in images] for one in shown}


def _boxes(explained: MappedAnswer, token: int | None) -> list[list[float] | None]:
    """A picture each: left, top, right and bottom in percent of it, or nothing."""
    tokens = None if token is None else [token]
    found: list[list[float] | None] = []
    for image, picture in enumerate(explained.images):
        box = explained.box(image, tokens)
        sides = (*picture.size, *picture.size)
        found.append(
            box and [round(100 * edge / side, 2) for edge, side in zip(box, sides, strict=True)]
        )
    return found


def _side(explained: MappedAnswer) -> int:
    """How large maps may be for all of them to have room."""
    every = [one for token in explained.tokens for maps in token.maps.values() for one in maps]
    for side in _SIDES:
        cells = sum(min(one.shape[0], side) * min(one.shape[1], side) for one in every)
        if cells * 4 / 3 <= _ROOM:  # in base64
            return side
    return _SIDES[-1]


def _scaled(values: Map, side: int) -> dict[str, object]:
    """A map as bytes from -127 to 127 in base64, and what the largest of them stands for."""
    values = finite(values)
    rows, columns = (min(one, side) for one in values.shape)
    if (rows, columns) != values.shape:
        small = PIL.Image.fromarray(values).resize((columns, rows), PIL.Image.Resampling.BOX)
        values = np.asarray(small)
    most = float(np.abs(values).max())
    cells = np.round(values / most * _STEPS) if most else values
    written = base64.b64encode(cells.astype(np.int8).tobytes()).decode()
    return {"most": most, "columns": columns, "cells": written}
