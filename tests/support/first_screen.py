"""Draws the pictures that the documentation shows, from the examples and what the model answers.

python tests/support/first_screen.py
"""

import shutil
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from memvr_integrations.backend import Backend, Request
from memvr_integrations.explain import Explanation

ROOT = Path(__file__).parents[2]
IMAGES, DOCS = ROOT / "examples" / "images", ROOT / "docs"
PICTURES = DOCS / "pictures"
FIRST = DOCS / "first-screen.png"
QUESTION = "Is there a dog in the picture?"

_SIDE, _EDGE, _TOP, _FOOT = 384, 24, 124, 48
_INK, _FAINT, _GROUND = "#1b1b1f", "#55575f", "#ffffff"


def first_screen(backend: Backend) -> Image.Image:
    """A card with a picture, a question, the model's answer, and the answer's map beside it.

    Its ground is opaque, so it can be read on light and on dark pages.
    """
    request = Request.ask(QUESTION, IMAGES / "farm.png")
    [done] = backend.generate(request)
    mapped = _mapped(backend.explain(request, done))
    original = Image.open(IMAGES / "farm.png").convert("RGB").resize((_SIDE, _SIDE))
    size = (2 * _SIDE + 3 * _EDGE, _TOP + _SIDE + _FOOT)
    card = Image.new("RGB", size, _GROUND)
    draw = ImageDraw.Draw(card)
    large, small = ImageFont.load_default(32), ImageFont.load_default(22)
    draw.text((_EDGE, 38), f"“{QUESTION}”", fill=_FAINT, font=large, anchor="lm")
    draw.text((_EDGE, 86), done.text, fill=_INK, font=large, anchor="lm", stroke_width=1)
    for left, picture, about in (
        (_EDGE, original, "what it is shown"),
        (2 * _EDGE + _SIDE, mapped, "where that answer came from"),
    ):
        card.paste(picture, (left, _TOP))
        draw.text((left, _TOP + _SIDE + 24), about, fill=_FAINT, font=small, anchor="lm")
    return card


def _mapped(explanation: Explanation) -> Image.Image:
    """The picture with its map and box, without the legend below it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.png"
        explanation.save_png(path)
        return Image.open(path).convert("RGB").crop((0, 0, _SIDE, _SIDE))


if __name__ == "__main__":
    with Backend.load("bundled", progress=False) as loaded:
        first_screen(loaded).quantize(256).save(FIRST, optimize=True)
    PICTURES.mkdir(exist_ok=True)
    for file in sorted(IMAGES.glob("*.png")):
        shutil.copyfile(file, PICTURES / file.name)
    print(f"wrote {FIRST.relative_to(ROOT)} and {PICTURES.relative_to(ROOT)}/")
