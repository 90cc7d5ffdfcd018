"""Which icon sets there are, their download, and one icon as a sprite.

The styles of `SHIPPED` may travel with the package (MIT and Apache-2.0); those of `HELD_OUT` are
for evaluation on art that the model has never seen, and stay out of it. `MORE` holds free styles
(MIT and Apache-2.0) that only training reads. The packages come from npm, and resvg-py renders
them.
"""

import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from memvr_integrations.bundled.world import CLASSES, PAINTABLE
from memvr_integrations.errors import MemVRError

SIZE = 96

SHIPPED = {
    "fluent": "@iconify-json/fluent-emoji@1.2.7",
    "flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "noto": "@iconify-json/noto@1.2.9",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
}
MORE = {
    "contrast": "@iconify-json/fluent-emoji-high-contrast@1.2.6",
    "fxemoji": "@iconify-json/fxemoji@1.2.2",
}
HELD_OUT = {
    "twemoji": "@iconify-json/twemoji@1.2.5",
    "emojione": "@iconify-json/emojione@1.2.3",
    "openmoji": "@iconify-json/openmoji@1.2.29",
}

_INK_ONLY = ("contrast",)  # black lines alone cannot be painted in a colour

# Class -> icons that show it, where the icon is not simply called like the class.
_ICONS: dict[str, tuple[str, ...]] = {
    "sheep": ("ewe",),
    "chicken": ("rooster",),
    "fish": ("fish", "tropical-fish"),
    "bee": ("honeybee",),
    "whale": ("spouting-whale", "whale"),
    "apple": ("red-apple", "green-apple"),
    "orange": ("tangerine",),
    "cheese": ("cheese-wedge",),
    "cake": ("birthday-cake", "shortcake"),
    "knife": ("kitchen-knife",),
    "cup": ("teacup-without-handle", "hot-beverage"),
    "bottle": ("bottle-with-popping-cork",),
    "car": ("automobile",),
    "truck": ("delivery-truck",),
    "train": ("locomotive",),
    "boat": ("sailboat",),
    "book": ("closed-book", "blue-book", "orange-book"),
    "clock": ("alarm-clock", "mantelpiece-clock"),
    "phone": ("mobile-phone",),
    "ball": ("soccer-ball", "basketball"),
    "hat": ("top-hat",),
    "shoe": ("running-shoe",),
    "tree": ("deciduous-tree",),
    "flower": ("sunflower", "rose", "tulip"),
    "moon": ("crescent-moon",),
    "gift": ("wrapped-gift",),
}

# Other drawings of a class, for training alone: what shows a class differs from set to set.
_MORE_ICONS: dict[str, tuple[str, ...]] = {
    "bottle": ("baby-bottle",),
    "bread": ("baguette-bread", "french-bread"),
    "cake": ("cupcake",),
    "chicken": ("chicken",),
    "cow": ("cow-face",),
    "cup": ("teacup", "cup-with-straw"),
    "dog": ("dog-face", "poodle", "guide-dog"),
    "horse": ("horse-face",),
    "house": ("house-with-garden", "house-building"),
    "knife": ("dagger",),
    "mouse": ("mouse-face", "rat"),
    "pig": ("pig-face",),
    "pizza": ("slice-of-pizza",),
    "rabbit": ("rabbit-face",),
    "sheep": ("ram",),
    "tree": ("evergreen-tree",),
}

# No icon set draws a fork or an empty plate alone, so these two are ours: a shape in a style's
# colours. (handle, tines, stroke) and (rim, well, stroke).
_FORK = "M{x} 4h4v17h{g}V4h4v17h{g}V4h4v20q0 8-{r} 10l1 26q-4 4-8 0l1-26q-{r}-2-{r}-10z"
_FORK_STYLE = {
    "fluent": (18, 6, 8, "#a9adbd", "#8f93a6"),
    "flat": (19, 5, 7, "#9b9b9b", "none"),
    "noto": (17, 7, 9, "#b0bec5", "#78909c"),
    "noto-v1": (20, 5, 6, "#78909c", "none"),
    "contrast": (19, 6, 7, "#212121", "none"),
    "fxemoji": (18, 7, 8, "#b7c2cb", "none"),
    "twemoji": (19, 6, 7, "#99aab5", "none"),
    "emojione": (18, 6, 8, "#c7d3d8", "none"),
    "openmoji": (18, 6, 8, "#d0cfce", "#000000"),
}
# Styles that are held out have shapes of their own, or the two would be the ones of training.
_OTHER_FORK = "M{x} 5h3v15h{g}V5h3v15h{g}V5h3v17q0 6-5 8l-1 27q-3 4-6 0l-1-27q-{r} -2-{r} -8z"
_PLATE_STYLE = {
    "fluent": ("#eceaf2", "#d5d2e2", "#b9b4cc"),
    "flat": ("#f4f4f4", "#e1e1e1", "#d3d3d3"),
    "noto": ("#fafafa", "#eeeeee", "#b0bec5"),
    "noto-v1": ("#e0e7ea", "#f5f5f5", "#90a4ae"),
    "fxemoji": ("#e3e8eb", "#ffffff", "#c4ccd1"),
    "twemoji": ("#ccd6dd", "#f5f8fa", "#b8c4cc"),
    "emojione": ("#e8e8e8", "#d0d0d0", "#bbbbbb"),
    "openmoji": ("#ffffff", "#ffffff", "#000000"),
}


def _own_svg(name: str, style: str) -> str | None:
    if name == "fork":
        x, gap, reach, fill, stroke = _FORK_STYLE[style]
        body = (_OTHER_FORK if style in HELD_OUT else _FORK).format(x=x, g=gap, r=reach)
        turned = ' transform="rotate(45 32 32)"' if style in HELD_OUT else ""
        shape = f'<path{turned} fill="{fill}" stroke="{stroke}" stroke-width="1.5" d="{body}"/>'
    elif name == "plate":
        rim, well, stroke = _PLATE_STYLE[style]
        # Seen from the side, or from above.
        high, deep, at = (17, 9, 30) if style in HELD_OUT else (29, 19, 32)
        shape = (
            f'<ellipse cx="32" cy="32" rx="29" ry="{high}" fill="{rim}" stroke="{stroke}" '
            f'stroke-width="1.5"/><ellipse cx="32" cy="{at}" rx="19" ry="{deep}" fill="{well}" '
            f'stroke="{stroke}"/>'
        )
    else:
        return None
    return f'<svg viewBox="0 0 64 64" xmlns="http://www.w3.org/2000/svg">{shape}</svg>'


class IconSet:
    """One Iconify JSON file: icons by name, with aliases."""

    def __init__(self, text: str) -> None:
        data = json.loads(text)
        self._icons, self._aliases = data["icons"], data.get("aliases", {})
        self._width, self._height = data.get("width", 16), data.get("height", 16)

    @classmethod
    def load(cls, archive: Path) -> "IconSet":
        """The set of an npm package's archive."""
        with tarfile.open(archive) as opened:
            member = opened.extractfile("package/icons.json")
            assert member is not None
            return cls(member.read().decode())

    def svg(self, icon: str) -> str | None:
        """An icon as a whole SVG, if there is one of that name."""
        if icon not in self._icons and icon not in self._aliases:
            icon = icon.replace("-", "")  # some sets write names without hyphens
        while icon in self._aliases:
            icon = self._aliases[icon]["parent"]
        found = self._icons.get(icon)
        if found is None:
            return None
        box = (
            f"{found.get('left', 0)} {found.get('top', 0)} "
            f"{found.get('width', self._width)} {found.get('height', self._height)}"
        )
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{box}">{found["body"]}</svg>'
        )


def render_svg(svg: str) -> np.ndarray:
    """An SVG as a square RGBA sprite, cropped to what is drawn."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIZE * 2, height=SIZE * 2)
    return framed(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))


def framed(image: Image.Image) -> np.ndarray:
    """An RGBA image cropped to what is drawn, as a sprite."""
    image = image.crop(image.getchannel("A").getbbox())
    side = max(image.size)
    square = Image.new("RGBA", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def download(package: str, folder: Path) -> Path:
    """An npm package's archive, fetched into a folder.

    Raises:
        MemVRError: There is no npm, or it can't fetch the package.
    """
    command = ["npm", "pack", "--loglevel=error", package]  # silent, it wouldn't say what is wrong
    try:
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise MemVRError(
            f"There is no npm to fetch {package} with; install Node.js, which brings it."
        ) from error
    except subprocess.CalledProcessError as error:
        raise MemVRError(
            f"npm can't fetch {package}; see that `npm ping` reaches a registry, and try again. "
            f"npm says:\n{error.stderr.strip()}"
        ) from error
    return folder / done.stdout.strip().splitlines()[-1]


def icons_of(name: str, *, more: bool = False) -> tuple[str, ...]:
    """The names of the icons that show a class; with `more`, other drawings of it, too."""
    return _ICONS.get(name, (name,)) + (_MORE_ICONS.get(name, ()) if more else ())


def render_styles(styles: dict[str, str], *, more: bool = False) -> dict[str, np.ndarray]:
    """Sprites (96, 96, 4) of every class in the given styles, keyed "style|class|icon".

    With `more`, other drawings of a class are among them.
    """
    sprites: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for style, package in styles.items():
            icons = IconSet.load(download(package, Path(folder)))
            for name in CLASSES:
                if style in _INK_ONLY and name in PAINTABLE:
                    continue
                for icon in icons_of(name, more=more):
                    svg = _own_svg(name, style) or icons.svg(icon)
                    if svg is not None:
                        sprites[f"{style}|{name}|{icon}"] = render_svg(svg)
    return sprites
