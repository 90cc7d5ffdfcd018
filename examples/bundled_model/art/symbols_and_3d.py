"""More free art for training, of other kinds than flat emoji: symbols, and things in 3D.

Symbol sets have one colour, or two. Each is tinted as the class usually is, and gray where the
class comes in any colour, so that painting it works as with other art. Everything here is under
MIT or Apache-2.0, is read by training alone, and doesn't ship.
"""

import io
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from bundled_model.art.icons import (
    SHIPPED,
    IconSet,
    download,
    framed,
    icons_of,
    render_svg,
)
from memvr_integrations.bundled.world import CLASSES, PAINTABLE

SYMBOLS = {
    "phosphor": "@iconify-json/ph@1.2.2",
    "mdi": "@iconify-json/mdi@1.2.3",
    "icon-park": "@iconify-json/icon-park@1.2.4",
}
SOLID = "@lobehub/fluent-emoji-3d@1.1.0"
_GRAY = (176, 176, 180)
_INK = "#26221f"

_SAME = {
    "phosphor": """airplane bed bicycle bird book bread bus butterfly cactus cake camera car carrot
        cat cheese clock cloud cookie cow dog fish gift guitar horse house key knife laptop moon
        motorcycle orange pencil pizza rabbit rocket scissors star sun television tractor tree
        truck umbrella balloon""",
    "mdi": """airplane balloon bed bee bicycle bird book butterfly cactus camera carrot cat cheese
        clock cloud cookie cow duck elephant fish flower gift horse knife laptop mushroom pencil
        penguin pig pizza rabbit rocket sheep snail snake star television tractor train tree
        truck turtle umbrella""",
    "icon-park": """airplane apple banana bee bird bread bus butterfly cactus cake camera car carrot
        cat cheese crab cup dog duck elephant fish gift key laptop lemon monkey moon
        orange pencil pig pineapple rabbit rocket scissors spoon star sun tomato train tree
        umbrella watermelon whale""",
}
_OTHER = {
    "phosphor": """boat=sailboat bottle=beer-bottle cup=coffee flower=flower-tulip
        phone=device-mobile shoe=sneaker television=television-simple train=train-simple
        ball=basketball ball=soccer-ball car=car-profile""",
    "mdi": """apple=food-apple ball=basketball ball=soccer boat=sail-boat
        bottle=bottle-wine bread=bread-slice bus=bus-side cake=cake-variant car=car-side cup=coffee
        dog=dog-side fork=silverware-fork spoon=silverware-spoon guitar=guitar-acoustic
        hat=hat-fedora house=home key=key-variant motorcycle=motorbike mouse=rodent phone=cellphone
        pineapple=fruit-pineapple watermelon=fruit-watermelon grapes=fruit-grapes
        moon=moon-waning-crescent sun=white-balance-sunny scissors=content-cut""",
    "icon-park": """ball=basketball bed=single-bed bicycle=bike boat=sailboat
        bottle=bottle-one clock=alarm-clock house=home knife=kitchen-knife phone=iphone
        television=tv""",
}


def symbols(
    style: str, icons: IconSet, tints: dict[str, tuple[int, int, int]]
) -> dict[str, np.ndarray]:
    """The sprites of one symbol set, keyed "style|class|icon"."""
    chosen = [(name, name) for name in _SAME[style].split()]
    for pair in _OTHER[style].split():
        name, _, icon = pair.partition("=")
        chosen.append((name, icon))
    sprites = {}
    for name, icon in chosen:
        svg = icons.svg(icon + "-duotone" if style == "phosphor" else icon)
        if svg is not None:
            sprites[f"{style}|{name}|{icon}"] = render_svg(_tinted(svg, style, tints[name]))
    return sprites


def solid(archive: tarfile.TarFile, characters: dict[str, str]) -> dict[str, np.ndarray]:
    """The sprites of the 3D set; `characters` has the code points of "class|icon"."""
    sprites = {}
    files = {Path(member).stem: member for member in archive.getnames()}
    for key, code in characters.items():
        member = files.get(code) or files.get(code + "-fe0f")
        if member is not None:
            opened = archive.extractfile(member)
            assert opened is not None
            sprites[f"solid|{key}"] = framed(Image.open(io.BytesIO(opened.read())).convert("RGBA"))
    return sprites


def tints(sprites: dict[str, np.ndarray]) -> dict[str, tuple[int, int, int]]:
    """The usual colour of every class: the middle colour of its art; gray for what is painted."""
    found: dict[str, tuple[int, int, int]] = {}
    for name in CLASSES:
        if name in PAINTABLE:
            found[name] = _GRAY
            continue
        art = next(art for key, art in sprites.items() if key.split("|")[1] == name)
        red, green, blue = np.median(art[art[..., 3] > 128][:, :3], 0)
        found[name] = int(red), int(green), int(blue)
    return found


def render_more(sprites: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Download and render it all; `sprites` has every class in some style, for the tints."""
    usual = tints(sprites)
    found: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for style, package in SYMBOLS.items():
            found |= symbols(style, IconSet.load(download(package, Path(folder))), usual)
        characters = _characters(download(SHIPPED["noto"], Path(folder)))
        with tarfile.open(download(SOLID, Path(folder))) as archive:
            found |= solid(archive, characters)
    return found


def _characters(emoji: Path) -> dict[str, str]:
    """The code points of every class's icons, from an emoji set's own table."""
    with tarfile.open(emoji) as archive:
        member = archive.extractfile("package/chars.json")
        assert member is not None
        codes = {icon: code for code, icon in json.loads(member.read()).items()}
    return {
        f"{name}|{icon}": codes[icon]
        for name in CLASSES
        for icon in icons_of(name, more=True)
        if icon in codes
    }


def _tinted(svg: str, style: str, tint: tuple[int, int, int]) -> str:
    plain = "#{:02x}{:02x}{:02x}".format(*tint)
    pale = "#{:02x}{:02x}{:02x}".format(*(value + (255 - value) // 3 for value in tint))
    if style == "phosphor":  # a pale area under dark lines
        return svg.replace('opacity=".2"', f'style="fill:{plain}"').replace("currentColor", _INK)
    if style == "icon-park":
        return svg.replace("#2F88FF", plain).replace("#43CCF8", pale)
    return svg.replace("currentColor", plain)
