"""Pictures made small."""

import base64
import io

import pytest
from PIL import Image
from report_lines import HOSTILE, PICTURE, Read

from memvr_integrations.evaluate.running.report.thumbnails import SIDE, thumbnail


def opened(made):
    [image] = Read(made).of("img")
    data = base64.b64decode(image["src"].removeprefix("data:image/webp;base64,"))
    return image, data, Image.open(io.BytesIO(data))


def test_a_picture_keeps_its_shape():
    image, _, small = opened(thumbnail(PICTURE, 10_000, alt=HOSTILE))
    assert small.size == (SIDE, round(SIDE * 2 / 3))
    assert (image["width"], image["height"], image["alt"]) == ("160", "107", HOSTILE)
    assert small.convert("RGB").getpixel((9, 9))[0] > 240
    assert PICTURE.size == (300, 200)


@pytest.mark.parametrize("most", [12_000, 3000, 800])
def test_the_noisiest_picture_fits(most):
    noise = Image.effect_noise((400, 300), 100).convert("RGB")
    _, data, small = opened(thumbnail(noise, most, alt=""))
    assert len(data) <= most
    assert max(small.size) >= 16


def test_there_is_a_limit_however_much_room_there_is():
    noise = Image.effect_noise((400, 300), 100).convert("RGB")
    assert len(opened(thumbnail(noise, 10**9, alt=""))[1]) <= 12_000


def test_a_picture_that_is_gone_is_named(tmp_path):
    made = thumbnail(tmp_path / "<b>.png", 1000, alt="")
    assert not Read(made).of("img")
    assert "no picture:" in made
    assert "&lt;b&gt;.png" in made


def test_the_first_of_several_frames_is_shown_without_a_word(tmp_path):
    frames = [Image.new("RGB", (8, 8), one) for one in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    _, _, small = opened(thumbnail(tmp_path / "a.gif", 1000, alt=""))
    assert small.convert("RGB").getpixel((4, 4))[0] > 200
