import io
import json
import tarfile

import numpy as np
import pytest
from bundled_model.art import more as art_more
from bundled_model.art.icons import IconSet
from PIL import Image

from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.bundled.world.words import CLASSES, PAINTABLE


@pytest.fixture(scope="module")
def usual():
    with np.load(SPRITES) as archive:
        return art_more.tints(dict(archive))


def test_tints_are_a_class_s_usual_color_and_gray_where_it_is_painted(usual):
    assert set(usual) == set(CLASSES)
    red, green, blue = usual["tomato"]
    assert red > green + 50
    assert red > blue + 50
    assert len({usual[name] for name in PAINTABLE}) == 1


@pytest.mark.parametrize("style", list(art_more.SYMBOLS))
def test_symbols_are_tinted(style, usual, monkeypatch):
    monkeypatch.setattr(art_more, "render_svg", lambda svg: np.array(svg))
    body = '<path opacity=".2"/><path fill="currentColor"/><path fill="#2F88FF"/>'
    icons = IconSet(json.dumps({"icons": {n: {"body": body} for n in ("cat", "cat-duotone")}}))
    sprites = art_more.symbols(style, icons, usual)
    tint = "#{:02x}{:02x}{:02x}".format(*usual["cat"])
    assert tint in str(sprites[f"{style}|cat|cat"])


def test_pictures_in_3d_are_found_by_their_code_points(tmp_path):
    picture = io.BytesIO()
    Image.new("RGBA", (8, 8), (9, 9, 9, 255)).save(picture, "PNG")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("package/assets/2708-fe0f.webp")
        member.size = len(picture.getvalue())
        archive.addfile(member, io.BytesIO(picture.getvalue()))
    with tarfile.open(tmp_path / "a.tgz") as archive:
        codes = {"airplane|airplane": "2708", "cow|cow": "1f404"}
        sprites = art_more.solid(archive, codes)
    assert set(sprites) == {"solid|airplane|airplane"}
    assert sprites["solid|airplane|airplane"].shape == (96, 96, 4)
