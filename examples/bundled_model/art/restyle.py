"""Draws a sprite again in a style of its own, so that training meets more art than there is.

Only training uses it: a model that saw four icon sets as they are knows those four. Every effect
keeps what the thing is and changes how it is drawn: its outline, its palette, its proportions.
"""

import random

import numpy as np
from PIL import Image, ImageFilter

_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32
)
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def restyle(art: Image.Image, rng: random.Random) -> Image.Image:
    """`art` (RGBA) drawn anew: bent, recoloured, flattened or outlined, each at random."""
    if rng.random() < 0.65:
        art = _bend(art, rng)
    roll = rng.random()
    if roll < 0.3:
        art = _flatten(art, colors=rng.randint(3, 7))
    elif roll < 0.45:
        art = _line_drawing(art, rng)
    if rng.random() < 0.7:
        art = _tone(art, rng)
    if rng.random() < 0.35:
        art = _outline(art, rng)
    return art


def _bend(art: Image.Image, rng: random.Random) -> Image.Image:
    """Other proportions: the corners of a 3 x 3 grid are moved a little."""
    side, cells = art.width, 3
    step, reach = side / cells, side * 0.055
    squeeze = [rng.uniform(0, 0.13) if rng.random() < 0.5 else 0.0 for _ in range(2)]
    nodes = [
        [
            (
                side / 2 + (x * step - side / 2) / (1 - squeeze[0]) + rng.uniform(-reach, reach),
                side / 2 + (y * step - side / 2) / (1 - squeeze[1]) + rng.uniform(-reach, reach),
            )
            for x in range(cells + 1)
        ]
        for y in range(cells + 1)
    ]
    mesh = []
    for y in range(cells):
        for x in range(cells):
            box = (int(x * step), int(y * step), int((x + 1) * step), int((y + 1) * step))
            corners = (nodes[y][x], nodes[y + 1][x], nodes[y + 1][x + 1], nodes[y][x + 1])
            mesh.append((box, tuple(value for corner in corners for value in corner)))
    return art.transform(art.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def _flatten(art: Image.Image, *, colors: int) -> Image.Image:
    """Few flat colours instead of shading."""
    flat = art.convert("RGB").quantize(
        colors + 1, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    result = flat.convert("RGBA")
    result.putalpha(art.getchannel("A"))
    return result


def _line_drawing(art: Image.Image, rng: random.Random) -> Image.Image:
    """Dark lines over a pale or an even filling."""
    alpha = art.getchannel("A")
    edges = art.convert("L").filter(ImageFilter.GaussianBlur(0.7)).filter(ImageFilter.FIND_EDGES)
    thick = np.asarray(edges.filter(ImageFilter.MaxFilter(3)), np.float32)
    lines = np.clip(thick / 60, 0, 1)[..., None]
    color = np.asarray(art.convert("RGB"), np.float32)
    paleness = rng.uniform(0.1, 0.95)
    filling = color * (1 - paleness) + 250 * paleness
    drawn = filling * (1 - lines) + rng.uniform(0, 60) * lines
    result = Image.fromarray(drawn.astype(np.uint8)).convert("RGBA")
    result.putalpha(alpha)
    return result


def _tone(art: Image.Image, rng: random.Random) -> Image.Image:
    """Another palette: hue within 25 degrees, saturation, contrast, brightness, a side light."""
    pixels = np.asarray(art).astype(np.float32)
    hue, saturation = np.radians(rng.uniform(-25, 25)), rng.uniform(0.35, 1.6)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(hue), -np.sin(hue)], [0, np.sin(hue), np.cos(hue)]], np.float32
    )
    change = _FROM_YIQ @ np.diag([1, saturation, saturation]) @ turn @ _TO_YIQ
    color = (pixels[..., :3] @ change.T - 128) * rng.uniform(0.7, 1.25) + 128
    light = np.linspace(-1, 1, art.width, dtype=np.float32)[:, None] * rng.uniform(-25, 25)
    color = color + rng.uniform(-30, 30) + (light if rng.random() < 0.5 else light[..., None])
    pixels[..., :3] = np.clip(color, 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def _outline(art: Image.Image, rng: random.Random) -> Image.Image:
    """A dark, white or coloured line around the thing."""
    width = rng.choice((3, 3, 5, 7))
    small = art.resize((art.width - width, art.height - width), Image.Resampling.BILINEAR)
    inner = Image.new("RGBA", art.size)
    inner.paste(small, (width // 2, width // 2))
    ink = rng.choice(((15, 15, 20), (15, 15, 20), (60, 45, 40), (250, 250, 250)))
    outer = Image.new("RGBA", art.size, ink)
    outer.putalpha(inner.getchannel("A").filter(ImageFilter.MaxFilter(width)))
    outer.alpha_composite(inner)
    return outer
