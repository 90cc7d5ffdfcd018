"""Places are found again whatever a processor does, on pictures of full size too."""

from random import Random

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import (
    CLIPImageProcessorPil,
    Gemma3ImageProcessorPil,
    GotOcr2ImageProcessorPil,
    Idefics3ImageProcessorPil,
    LlavaNextImageProcessorPil,
)

from memvr_integrations.backend.hosting.regions.placing import (
    UnplacedError,
    joined,
    levels,
    placed,
    ramps,
)

RESAMPLING = list(PIL.Image.Resampling)


def processed(processor, size, **settings):
    """The levels of the views of one picture, (views, 3, height, width)."""
    made = (processor([picture], return_tensors="pt", **settings) for picture in ramps(size))
    found = levels(*(one["pixel_values"] for one in made))
    return found.reshape(-1, *found.shape[-3:])


def resampled(size, box, to, around, how):
    """A part of a picture, resized, and with so many pixels of padding around it."""

    def process(picture):
        pixels = np.asarray(picture.resize(to, how, box=box), np.float64)
        left, top, right, bottom = around
        padded = np.pad(pixels, ((top, bottom), (left, right), (0, 0)), constant_values=77)
        return torch.from_numpy((padded / 255 - 0.4) / [0.2, 0.3, 0.25]).permute(2, 0, 1)

    return placed(levels(*map(process, ramps(size))), size)


def test_resizing_and_padding_are_undone_exactly():
    random = Random(0)
    for number in range(30):
        size = random.randint(1, 2000), random.randint(1, 2000)
        to = random.randint(8, 300), random.randint(8, 300)
        around = [random.choice([0, random.randint(1, 40)]) for _ in range(4)]
        how = RESAMPLING[number % len(RESAMPLING)]
        if how is PIL.Image.Resampling.NEAREST and max(size) < 20 * max(to):
            continue  # which takes pixels from places that are not even
        view = resampled(size, (0, 0, *size), to, around, how)
        for ends, side, length, before, after in (
            (view.across, size[0], to[0], around[0], around[2]),
            (view.down, size[1], to[1], around[1], around[3]),
        ):
            exact = -before * side / length, side + after * side / length
            assert ends == pytest.approx(exact, rel=1e-9, abs=1e-6)


def test_crops_are_undone_to_a_pixel_or_a_twentieth_of_a_patch():
    random = Random(1)
    for _ in range(25):
        size = random.randint(40, 3000), random.randint(40, 3000)
        box = [random.uniform(0.02, 0.4) * side for side in size]
        box += [random.uniform(0.6, 0.98) * side for side in size]
        to = random.randint(56, 448), random.randint(56, 448)
        view = resampled(size, tuple(box), to, (0, 0, 0, 0), PIL.Image.Resampling.BICUBIC)
        for ends, exact, side, length in (
            (view.across, box[::2], size[0], to[0]),
            (view.down, box[1::2], size[1], to[1]),
        ):
            patch = 14 * side / length
            assert ends == pytest.approx(exact, abs=max(1, patch / 20))


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (4032, 3024), (337, 1200), (90, 61)])
def test_the_crop_of_clip(size):
    [view] = processed(CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size=336), size)
    found, least = placed(view, size), min(size)
    for ends, side in ((found.across, size[0]), (found.down, size[1])):
        exact = (side - least) / 2, (side + least) / 2
        assert ends == pytest.approx(exact, abs=max(1, least / 24 / 20))


def test_the_crops_of_pan_and_scan():
    size = 2000, 700
    processor = Gemma3ImageProcessorPil(
        do_pan_and_scan=True,
        pan_and_scan_min_crop_size=256,
        pan_and_scan_max_num_crops=4,
        pan_and_scan_min_ratio_to_activate=1.2,
    )
    whole, *crops = (placed(view, size) for view in processed(processor, size))
    assert (whole.across, whole.down) == ((0, 2000), (0, 700))
    assert len(crops) == 3
    for number, crop in enumerate(crops):
        exact = 667 * number, min(667 * (number + 1), 2000)
        assert crop.across == pytest.approx(exact, abs=1)
        assert crop.down == (0, 700)


@pytest.mark.parametrize("size", [(1600, 400), (500, 3000), (900, 900), (130, 100), (3, 4), (1, 7)])
@pytest.mark.parametrize(
    "processor",
    [
        GotOcr2ImageProcessorPil(size={"height": 112, "width": 112}, crop_to_patches=True),
        Idefics3ImageProcessorPil(size={"longest_edge": 448}, max_image_size={"longest_edge": 112}),
    ],
    ids=["GotOcr2", "Idefics3"],
)
def test_tiles_are_joined_as_they_were_cut(processor, size):
    *tiles, whole = processed(processor, size)
    assert placed(whole, size).across == (0, size[0])
    view, corners = joined(np.stack(tiles), size)
    assert (view.across, view.down) == ((0, size[0]), (0, size[1]))
    assert len(corners) == len(tiles) > 1
    if min(size) > 4:
        longer = max(view.width, view.height) / min(view.width, view.height)
        assert longer == pytest.approx(max(size) / min(size), rel=0.5)
    assert corners[-1].tolist() == [view.width - 112, view.height - 112]


@pytest.mark.parametrize("size", [(1000, 400), (400, 1000), (700, 690), (60, 20)])
def test_tiles_with_padding_are_joined(size):
    processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": 112},
        crop_size={"height": 112, "width": 112},
        image_grid_pinpoints=[[112, 224], [224, 112], [224, 224], [112, 336], [336, 112]],
    )
    view, _ = joined(processed(processor, size)[1:], size)
    scale = min(view.width / size[0], view.height / size[1])
    for ends, side, length in (
        (view.across, size[0], view.width),
        (view.down, size[1], view.height),
    ):
        padding = (length / scale - side) / 2
        # Its pixels are whole, and one more of it may lie on one side.
        assert ends == pytest.approx((-padding, side + padding), abs=1.6 / scale)


def test_what_is_no_picture_is_not_placed():
    size = 60, 40
    black, white, ramp = (torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in ramps(size))
    view = placed(levels(black, white, ramp), size)
    assert (view.across, view.down) == ((0, 60), (0, 40))
    with pytest.raises(UnplacedError, match="same pixels"):
        levels(white, white, ramp)
    for wrong in (ramp.flip(-1), ramp.flip(0), ramp.roll(20, -1), ramp.flip(-2)):
        with pytest.raises(UnplacedError):
            placed(levels(black, white, wrong), size)
    with pytest.raises(UnplacedError, match="padding alone"):
        placed(np.full((3, 40, 60), np.nan), size)
