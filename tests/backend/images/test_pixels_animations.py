"""Pictures of more than one frame: the first is taken, unless the caller chose."""

import io

import numpy as np
import pytest
from pictures import PICTURE, RED, encode
from PIL import Image

from memvr_integrations.backend.images import load_image
from memvr_integrations.errors import MemVRWarning


def frames(kind: str, **options: object) -> bytes:
    others = [Image.new("RGB", (8, 8), colour) for colour in ("green", "blue")]
    return encode(
        Image.new("RGB", (8, 8), RED), kind, save_all=True, append_images=others, **options
    )


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GIF", {}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("AVIF", {"quality": 100}),
    ],
)
def test_the_first_frame_of_an_animation_is_taken_with_a_warning(kind, options):
    data = frames(kind, **options)
    with pytest.warns(
        MemVRWarning, match=f"image data of {len(data)} bytes.*only the first"
    ) as warned:
        loaded = load_image(data)
    assert warned[0].filename == __file__
    assert np.abs(np.subtract(loaded.getpixel((4, 4)), RED)).max() < 6


def test_a_frame_that_the_caller_chose_is_kept_without_a_warning():
    opened = Image.open(io.BytesIO(frames("GIF")))
    opened.seek(2)
    assert load_image(opened).getpixel((4, 4)) == (0, 0, 255)


def test_the_previews_of_a_phone_jpeg_are_no_animation():
    data = encode(PICTURE, "MPO", save_all=True, append_images=[PICTURE.resize((4, 4))])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert load_image(data).size == PICTURE.size


def test_a_loaded_picture_works_after_its_file_is_closed(tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(frames("GIF"))
    with Image.open(path) as opened:
        opened.load()
    assert load_image(opened).getpixel((0, 0)) == RED
