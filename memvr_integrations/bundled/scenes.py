"""Draws scenes of everyday things, with the truth about them and a label for every patch.

A scene follows a theme's habits: common things are common, and partners come together (fork and
knife). A model trained on such scenes learns to expect what is usual, which is what makes it
hallucinate, and what the evaluation measures.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from memvr_integrations.bundled.words import (
    CLASSES,
    COLORS,
    PAINTABLE,
    PARTNER,
    THEMES,
    classes_of,
)

SIDE = 128
PATCH = 16
GRID = SIDE // PATCH
FIRST_THEMES = ("kitchen", "farm")

_LABEL = {name: index + 1 for index, name in enumerate(CLASSES)}
_MAX_THINGS = 8
_INK = 90  # alpha above which a sprite's pixel counts as the thing itself

_Color = tuple[int, int, int]
_BACKGROUNDS: dict[str, tuple[_Color, _Color]] = {
    "kitchen": ((196, 154, 108), (222, 200, 170)),
    "fruit stand": ((235, 225, 200), (200, 215, 180)),
    "farm": ((150, 200, 240), (110, 175, 80)),
    "street": ((190, 210, 225), (130, 130, 135)),
    "sea": ((120, 190, 235), (30, 105, 185)),
    "bedroom": ((225, 210, 195), (170, 135, 105)),
    "garden": ((175, 215, 170), (95, 160, 75)),
    "sky": ((120, 180, 240), (190, 220, 250)),
    "zoo": ((225, 205, 150), (190, 165, 95)),
    "party": ((250, 220, 235), (215, 200, 250)),
}


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One class in a scene; `centers` holds (x, y) of each piece in 0..1, left to right."""

    name: str
    color: str | None
    centers: tuple[tuple[float, float], ...]

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return len(self.centers)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A drawing and its truth.

    Shapes: `pixels` (128, 128, 3) uint8; `patches` (8, 8) uint8, 0 for background, else the
    class's index in `CLASSES` plus one.
    """

    theme: str
    things: tuple[Thing, ...]
    pixels: np.ndarray
    patches: np.ndarray

    @property
    def names(self) -> frozenset[str]:
        """The classes that are there."""
        return frozenset(thing.name for thing in self.things)


class Sprites:
    """Art by class, from one or more sprite files, in the chosen styles (all when empty)."""

    def __init__(self, *files: Path, styles: Sequence[str] = ()) -> None:
        self._by_class: dict[str, list[Image.Image]] = {}
        for file in files:
            with np.load(file) as archive:
                for key in archive.files:
                    style, name, _ = key.split("|")
                    if not styles or style in styles:
                        self._by_class.setdefault(name, []).append(Image.fromarray(archive[key]))

    def pick(self, name: str, rng: random.Random) -> Image.Image:
        """A random piece of art that shows `name`."""
        return rng.choice(self._by_class[name])


def sample_names(rng: random.Random, themes: Sequence[str]) -> tuple[str, list[str]]:
    """A theme and the one to five classes of a scene, by the theme's habits."""
    theme = rng.choice(themes)
    common, everything = THEMES[theme], classes_of(tuple(themes))
    weights = [1 / (rank + 1.5) for rank in range(len(common))]
    size = rng.choices([1, 2, 3, 4, 5], [0.12, 0.25, 0.3, 0.22, 0.11])[0]
    names: list[str] = []
    while len(names) < size:
        roll = rng.random()
        partner = PARTNER.get(names[-1]) if names else None
        if roll < 0.38 and partner in everything and partner not in names:
            names.append(str(partner))
            continue
        name = rng.choices(common, weights)[0] if roll < 0.9 else rng.choice(everything)
        if name not in names:
            names.append(name)
    return theme, names


def draw_scene(rng: random.Random, sprites: Sprites, themes: Sequence[str]) -> Scene:
    """A new scene; the same `rng` state gives the same pixels."""
    noise = np.random.default_rng(rng.getrandbits(64))
    theme, names = sample_names(rng, themes)
    canvas = _background(theme, rng, noise)
    labels = np.zeros((SIDE, SIDE), np.uint8)
    boxes: list[tuple[int, int, int]] = []
    things = []
    for index, name in enumerate(names):
        room = _MAX_THINGS - len(boxes) - (len(names) - 1 - index)
        count = min(rng.choices([1, 2, 3, 4], [0.55, 0.22, 0.14, 0.09])[0], max(room, 1))
        color = rng.choice(list(COLORS)) if name in PAINTABLE and rng.random() < 0.7 else None
        art = sprites.pick(name, rng)
        if color:
            art = _paint(art, COLORS[color])
        base = rng.uniform(30, 56) if len(names) < 4 and count < 3 else rng.uniform(25, 38)
        centers = []
        for _ in range(count):
            box = _free_box(rng, base, boxes)
            if box is not None:
                _place(canvas, labels, art, box, _LABEL[name], rng)
                boxes.append(box)
                x, y, size = box
                centers.append(((x + size / 2) / SIDE, (y + size / 2) / SIDE))
        if centers:
            things.append(Thing(name=name, color=color, centers=tuple(sorted(centers))))
    pixels = np.asarray(canvas)
    return Scene(theme=theme, things=tuple(things), pixels=pixels, patches=_patches(labels))


def _paint(art: Image.Image, color: _Color) -> Image.Image:
    """`art` in one colour, its shading kept."""
    pixels = np.asarray(art).astype(np.float32)
    light = pixels[..., :3] @ np.array([0.3, 0.59, 0.11], np.float32)
    drawn = pixels[..., 3] > 60
    bright = max(float(np.percentile(light[drawn], 70)), 1.0) if drawn.any() else 128.0
    shade = np.clip(light / bright, 0.25, 1.35)[..., None]
    tinted = np.array(color, np.float32) * shade + np.clip(shade - 1.05, 0, None) * 120
    pixels[..., :3] = np.clip(tinted, 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def _background(theme: str, rng: random.Random, noise: np.random.Generator) -> Image.Image:
    top, bottom = (
        np.array(color, np.float32) + rng.uniform(-22, 22) + noise.uniform(-12, 12, 3)
        for color in _BACKGROUNDS[theme]
    )
    if theme == "sky" and rng.random() < 0.3:
        top, bottom = np.array([15, 20, 50.0]), np.array([40, 45, 95.0])
    depth = np.linspace(0, 1, SIDE)[:, None, None]
    if rng.random() < 0.6:  # a horizon instead of a plain gradient
        depth = np.clip((depth - rng.uniform(0.3, 0.6)) / rng.choice([0.02, 0.1, 0.5]), 0, 1)
    pixels = top * (1 - depth) + bottom * depth + np.zeros((SIDE, SIDE, 1))
    if rng.random() < 0.5:
        pixels = pixels + noise.standard_normal((SIDE, SIDE, 1)) * rng.uniform(0, 7)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _free_box(
    rng: random.Random, base: float, boxes: list[tuple[int, int, int]]
) -> tuple[int, int, int] | None:
    """A place (x, y, size) that overlaps the others little, smaller and smaller; or None."""
    size = int(base * rng.uniform(0.9, 1.1))
    for attempt in range(30):
        x, y = rng.randint(0, SIDE - size), rng.randint(0, SIDE - size)
        if all(
            max(abs(x + size / 2 - bx - bs / 2), abs(y + size / 2 - by - bs / 2))
            > (size + bs) * 0.42
            for bx, by, bs in boxes
        ):
            return x, y, size
        if attempt % 6 == 5:
            size = max(20, int(size * 0.85))
    return None


def _place(
    canvas: Image.Image,
    labels: np.ndarray,
    art: Image.Image,
    box: tuple[int, int, int],
    label: int,
    rng: random.Random,
) -> None:
    x, y, size = box
    piece = art.resize((size, size), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.4:
        piece = piece.rotate(rng.uniform(-18, 18), Image.Resampling.BILINEAR)
    canvas.paste(piece, (x, y), piece)
    labels[y : y + size, x : x + size][np.asarray(piece)[..., 3] > _INK] = label


def _patches(labels: np.ndarray) -> np.ndarray:
    """The class that fills at least 18 % of a patch, for every patch."""
    cells = labels.reshape(GRID, PATCH, GRID, PATCH).swapaxes(1, 2).reshape(GRID * GRID, -1)
    result = np.zeros(GRID * GRID, np.uint8)
    for index, cell in enumerate(cells):
        counts = np.bincount(cell, minlength=2)
        counts[0] = 0
        if counts.max() > 0.18 * PATCH * PATCH:
            result[index] = counts.argmax()
    return result.reshape(GRID, GRID)
