"""Draws scenes of everyday things, with the truth about them and a label for every patch.

A scene follows a theme's habits: common things are common, and partners come together (fork and
knife). A model trained on such scenes learns to expect what is usual, which is what makes it
hallucinate, and what the evaluation measures.
"""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from zipfile import BadZipFile

import numpy as np
from PIL import Image, UnidentifiedImageError

from memvr_integrations.bundled.world.words import (
    CLASSES,
    COLORS,
    PAINTABLE,
    PARTNER,
    THEMES,
    classes_of,
)
from memvr_integrations.errors import ConfigError

SIDE = 128
"""A scene's width and height in pixels."""

PATCH = 16
"""A patch's width and height in pixels."""

GRID = SIDE // PATCH
"""Patches in a row of a scene."""

SPRITES = Path(__file__).parent / "sprites.npz"
"""The art that ships: one file for `Sprites`."""

_LABEL = {name: index + 1 for index, name in enumerate(CLASSES)}
_MAX_THINGS = 8
_INK = 90  # alpha above which a sprite's pixel counts as the thing itself

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom, as parts of a scene's side."""

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
    """One class in a scene, its pieces left to right, measured in 0..1.

    `centers` holds (x, y) of the square in which each piece was drawn, `boxes` (left, top, right,
    bottom) of what is seen of its outline.
    """

    name: str
    color: str | None
    centers: tuple[tuple[float, float], ...]
    boxes: tuple[Box, ...] = ()

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return len(self.centers)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A drawing and its truth.

    Shapes: `pixels` (128, 128, 3) uint8; `patches` (8, 8) uint8, 0 for background, else the
    class's index in `CLASSES` plus one; `pieces` (8, 8) uint8, 0 for background, else the number
    of the piece, counted through `things` from one.
    """

    theme: str
    things: tuple[Thing, ...]
    pixels: np.ndarray
    patches: np.ndarray
    pieces: np.ndarray = field(default_factory=lambda: np.zeros((GRID, GRID), np.uint8))

    @property
    def names(self) -> frozenset[str]:
        """The classes that are there."""
        return frozenset(thing.name for thing in self.things)


class Sprites:
    """Art by class, from one or more sprite files, in all their styles.

    A sprite file is an `.npz` with the bytes of a picture under each "style|class|icon".

    Raises:
        ConfigError: A file is no such file.
        OSError: A file can't be read.
    """

    def __init__(self, *files: Path) -> None:
        self._by_class: dict[str, list[Image.Image]] = {}
        for file in files:
            try:
                self._read(file)
            except (ValueError, IndexError, EOFError, UnidentifiedImageError, BadZipFile) as error:
                raise ConfigError(
                    f"{file} is no file of sprites ({error}); `python -m bundled_model.art.render` "
                    "makes one."
                ) from error

    def _read(self, file: Path) -> None:
        with np.load(file) as archive:
            for key in archive.files:
                name = key.split("|")[1]
                art = Image.open(io.BytesIO(archive[key].tobytes())).convert("RGBA")
                self._by_class.setdefault(name, []).append(art)

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


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How far a drawing departs from a theme's habits, each a chance from 0 to 1.

    `anything` takes the names from all classes alike, `crowds` draws five to eight pieces of one.
    """

    anything: float = 0.0
    crowds: float = 0.0


_HABITUAL = Drawing()


def draw_scene(
    rng: random.Random, sprites: Sprites, themes: Sequence[str], drawing: Drawing = _HABITUAL
) -> Scene:
    """A new scene; the same `rng` state gives the same pixels."""
    noise = np.random.default_rng(rng.getrandbits(64))
    theme, names = sample_names(rng, themes)
    if drawing.anything and rng.random() < drawing.anything:
        names = rng.sample(classes_of(tuple(themes)), len(names))
    crowd = bool(drawing.crowds) and rng.random() < drawing.crowds
    if crowd:
        del names[2:]
    canvas = _Canvas(_background(theme, rng, noise))
    things = []
    for index, name in enumerate(names):
        room = _MAX_THINGS - len(canvas.squares) - (len(names) - 1 - index)
        count = min(rng.choices([1, 2, 3, 4], [0.55, 0.22, 0.14, 0.09])[0], max(room, 1))
        if crowd and index == 0:
            count = rng.randint(5, room)
        color = rng.choice(list(COLORS)) if name in PAINTABLE and rng.random() < 0.7 else None
        art = sprites.pick(name, rng)
        if color:
            art = _paint(art, COLORS[color])
        roomy = len(names) < 4 and count < 3
        thing = canvas.place(name, color, art, rng.uniform(*((30, 56) if roomy else (25, 38))),
                             count, rng)  # fmt: skip
        if thing.centers:
            things.append(thing)
    patches, pieces = canvas.patches(things)
    pixels = np.asarray(canvas.image)
    return Scene(theme=theme, things=tuple(things), pixels=pixels, patches=patches, pieces=pieces)


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


class _Canvas:
    """A picture under way, and for every pixel the piece that it shows (0: none)."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.squares: list[tuple[int, int, int]] = []
        self._shown = np.zeros((SIDE, SIDE), np.uint8)
        self._order: list[int] = []

    def place(
        self,
        name: str,
        color: str | None,
        art: Image.Image,
        base: float,
        count: int,
        rng: random.Random,
    ) -> Thing:
        """Draw up to `count` pieces where there is room."""
        drawn = []
        for _ in range(count):
            square = _free_box(rng, base, self.squares)
            if square is not None:
                self.squares.append(square)
                x, y, size = square
                center = ((x + size / 2) / SIDE, (y + size / 2) / SIDE)
                drawn.append((center, self._draw(art, square, rng), len(self.squares)))
        drawn.sort()
        self._order += [number for *_, number in drawn]
        return Thing(
            name=name,
            color=color,
            centers=tuple(center for center, *_ in drawn),
            boxes=tuple(box for _, box, _ in drawn),
        )

    def _draw(self, art: Image.Image, square: tuple[int, int, int], rng: random.Random) -> Box:
        x, y, size = square
        piece = art.resize((size, size), Image.Resampling.BILINEAR)
        if rng.random() < 0.5:
            piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if rng.random() < 0.4:
            piece = piece.rotate(rng.uniform(-18, 18), Image.Resampling.BILINEAR)
        self.image.paste(piece, (x, y), piece)
        ink = np.asarray(piece)[..., 3] > _INK
        self._shown[y : y + size, x : x + size][ink] = len(self.squares)
        across, down = np.flatnonzero(ink.any(0)), np.flatnonzero(ink.any(1))
        if not len(across):
            return x / SIDE, y / SIDE, (x + size) / SIDE, (y + size) / SIDE
        left, right = (x + int(across[at]) for at in (0, -1))
        top, bottom = (y + int(down[at]) for at in (0, -1))
        return left / SIDE, top / SIDE, (right + 1) / SIDE, (bottom + 1) / SIDE

    def patches(self, things: Sequence[Thing]) -> tuple[np.ndarray, np.ndarray]:
        """The class that fills at least 18 % of a patch, and the piece that fills most of it."""
        squares = self._shown.reshape(GRID, PATCH, GRID, PATCH).swapaxes(1, 2)
        cells = squares.reshape(GRID * GRID, -1)
        inks = np.stack([(cells == number).sum(1) for number in self._order])
        owner = np.repeat(np.arange(len(things)), [thing.count for thing in things])
        areas = np.stack([inks[owner == index].sum(0) for index in range(len(things))])
        labels = np.array([_LABEL[thing.name] for thing in things])
        by_label = labels.argsort()  # the first of two equal areas has the lower label
        winner = by_label[areas[by_label].argmax(0)]
        filled = areas.max(0) > 0.18 * PATCH * PATCH
        piece = np.where(owner[:, None] == winner, inks, -1).argmax(0) + 1
        shape = (GRID, GRID)
        return (
            (labels[winner] * filled).astype(np.uint8).reshape(shape),
            (piece * filled).astype(np.uint8).reshape(shape),
        )
