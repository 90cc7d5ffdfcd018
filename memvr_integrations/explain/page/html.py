"""The page: one file with everything in it, safe to open whatever a model or a file name says."""

import base64
import hashlib
import html
import io
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import numpy as np
import PIL.Image

from memvr_integrations.explain.mapped import ExplainedToken, MappedAnswer
from memvr_integrations.explain.page.colours import coloured, hottest
from memvr_integrations.explain.page.data import data
from memvr_integrations.explain.page.wording import (
    BOXES,
    MEANING,
    NAMES,
    PIXELS,
    UNITS,
    said_of,
    spoken,
    states_of,
    three,
)

_SIDE = 640  # of pictures on the page, at most
_PAGE = 960_000  # bytes, all in all
_LEAST = 100_000  # bytes of pictures, however long the answer is
_TITLE = 120  # characters; tabs have room for less
_LINE_END = "\u21b5"


def page(explained: MappedAnswer) -> str:
    """An explanation as one HTML file, below a megabyte unless an answer has 1500 tokens."""
    script = _part("page.js")
    about = f"{MEANING[explained.method]} {BOXES}" + (f" {PIXELS}" if explained.pixels else "")
    values = {
        "TITLE": html.escape(explained.question[:_TITLE] or "An explanation"),
        "QUESTION": html.escape(explained.question or "An explanation"),
        "ANSWER": html.escape(explained.answer),
        "MODEL": html.escape(explained.model),
        "WORDS": "".join(_words(explained)),
        "FIGURES": "",
        "STATES": _part("states.html") if len(states_of(explained)) > 1 else "",
        "AGAINST": _part("against.html") if _speaks_against(explained) else "",
        "PROBED": "" if explained.threshold is None else _part("probed.html"),
        "UNIT": html.escape(_unit(explained)),
        "MEANING": html.escape(f"Made by {NAMES[explained.method]}. {about}"),
        "ROWS": "".join(_row(token) for token in explained.tokens),
        "STYLE": _part("page.css"),
        "SCRIPT": script,
        "HASH": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "DATA": _json(data(explained)),
    }
    room = _PAGE - sum(len(one.encode("utf-8", "replace")) for one in values.values())
    room = max(room, _LEAST) * 3 // 4  # they are in base64
    values["FIGURES"] = "".join(_figures(explained, room))
    # Filled in one go: what is filled in may look like a place to fill.
    pieces = _part("page.html").split("@@")
    filled = [values[one] if number % 2 else one for number, one in enumerate(pieces)]
    # A file's name may have bytes that are no text.
    return "".join(filled).encode("utf-8", "replace").decode()


def framed(whole: str) -> str:
    """A page in a frame, in which its styles stay."""
    return (
        f'<iframe srcdoc="{html.escape(whole)}" title="Where the answer came from" '
        'sandbox="allow-scripts" style="width:100%;height:640px;border:0"></iframe>'
    )


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """JSON that can't end the script element that it is in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _speaks_against(explained: MappedAnswer) -> bool:
    maps = [one for token in explained.tokens for own in token.maps.values() for one in own]
    return any(bool((one < 0).any()) for one in maps)


def _unit(explained: MappedAnswer) -> str:
    pictures = "; one scale for all pictures" if len(explained.images) > 1 else ""
    return f"{UNITS[explained.method]}{pictures}"


def _jpeg(picture: PIL.Image.Image, most: int) -> str:
    """A picture in base64, as large and as good as some bytes allow."""
    side, encoded = _SIDE, b""
    small = picture.convert("RGB")
    while side >= 32:
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
    # Some of a picture's room is for its map and the elements.
    most, hot = room // len(explained.images) - 5000, hottest(explained)
    for number, (image, named) in enumerate(zip(explained.images, explained.names, strict=True)):
        into = io.BytesIO()
        PIL.Image.fromarray(coloured(explained.map(number), hot)).save(into, format="PNG")
        heat = base64.b64encode(into.getvalue()).decode()
        name = html.escape(named)
        says = html.escape(said_of(explained, number, None, explained.state))
        yield (
            f'<figure><div class="frame" style="--w:{image.width};--h:{image.height}">'
            f'<img class="picture" src="data:image/jpeg;base64,{_jpeg(image, most)}" alt="{name}">'
            f'<img class="heat" src="data:image/png;base64,{heat}" alt="">'
            f'<canvas class="heat" aria-hidden="true"></canvas>{_box(explained, number)}'
            f'</div><figcaption><bdi>{name}</bdi> <span class="says">{says}</span></figcaption>'
            "</figure>"
        )


def _box(explained: MappedAnswer, image: int) -> str:
    """The frame around what stands out, which scripts move from word to word."""
    box, (width, height) = explained.box(image), explained.images[image].size
    place = "display:none"
    if box is not None:
        left, top, right, bottom = box
        place = (
            f"left:{100 * left / width:.2f}%;top:{100 * top / height:.2f}%;"
            f"width:{100 * (right - left) / width:.2f}%;"
            f"height:{100 * (bottom - top) / height:.2f}%"
        )
    return f'<i class="box" aria-hidden="true" style="{place}"></i>'


def _words(explained: MappedAnswer) -> Iterator[str]:
    before = ""
    for number, token in enumerate(explained.tokens):
        joined = " joined" if before[-1:].isalnum() and token.text[:1].isalnum() else ""
        before = token.text
        text = html.escape(token.text.strip(" ").replace("\n", _LINE_END)) or "&#9633;"
        inner = f"<b>{text}</b>{_strip(token, explained.threshold)}"
        if not token.maps:
            yield (
                f'<span class="word plain{joined}" title="not explained">{inner}'
                '<span class="unseen"> (not explained)</span></span>'
            )
            continue
        label = html.escape(f"{token.text.strip() or 'end'}: {spoken(token)}")
        yield (
            f'<button class="word{joined}" type="button" data-token="{number}" '
            f'aria-pressed="false" aria-label="{label}">{inner}</button>'
        )


def _strip(token: ExplainedToken, threshold: float | None) -> str:
    """How unsure the output was, and the most unsure layer that was probed, beside each other."""
    bars = _bar("output", token.output_entropy)
    if threshold is not None:
        known = [one for one in token.entropies.values() if np.isfinite(one)]
        probed = max(known, default=None)
        limit = f'<i class="limit" style="left:{_percent(threshold)}"></i>'
        bars += _bar("probed", probed, limit)
    mark = "" if token.trigger_layer is None else '<i class="mark">&#9650;</i>'
    return f'<span class="strip" aria-hidden="true"><span>{bars}</span>{mark}</span>'


def _bar(kind: str, value: float | None, limit: str = "") -> str:
    if value is None or not np.isfinite(value):
        return f'<span class="bar">{limit}</span>'
    return f'<span class="bar"><i class="{kind}" style="width:{_percent(value)}"></i>{limit}</span>'


def _percent(share: float) -> str:
    return f"{100 * min(max(share, 0), 1):.0f}%"


def _row(token: ExplainedToken) -> str:
    cells = (
        token.text.replace("\n", _LINE_END) or "(end)",
        three(token.logprob),
        f"{np.exp(token.logprob):.3f}",
        "" if token.output_entropy is None else f"{token.output_entropy:.2f}",
        ", ".join(f"{layer}: {value:.2f}" for layer, value in token.entropies.items()),
        "" if token.trigger_layer is None else str(token.trigger_layer),
        "explained" if token.maps else "not explained",
    )
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
