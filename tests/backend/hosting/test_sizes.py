"""Pixels are processed once, and no longer kept than they are needed."""

import gc
from types import SimpleNamespace

import torch
from PIL import Image as Pillow
from transformers import BatchFeature

from memvr_integrations.backend.hosting import sizes
from memvr_integrations.backend.hosting.sizes import ByPicture


class Grids:
    """An image processor as most families have it; `calls` are the sizes that it was given."""

    model_input_names = ("pixel_values",)
    patch_size = 7

    def __init__(self, *more):
        self.more, self.calls = more, []

    def __call__(self, images, **settings):
        self.calls.append([image.size for image in images])
        grids = torch.tensor([image.size for image in images])
        counts = {name: torch.ones(len(images)) for name in self.more}
        pixels = torch.full((len(images), 3, 2, 2), float(len(self.calls)))
        return BatchFeature({"pixel_values": pixels, "image_sizes": grids, **counts})


def both(images):
    made = ByPicture(SimpleNamespace(image_processor=images))
    return made.writing.image_processor, made.showing.image_processor


def picture(width, height):
    return Pillow.new("RGB", (width, height))


def test_a_prompt_has_the_sizes_of_its_pictures_and_no_pixels():
    images = Grids()
    writing, showing = both(images)
    found = writing([picture(4, 2), picture(3, 3)])
    assert found["image_sizes"].tolist() == [[4, 2], [3, 3]]
    assert found["pixel_values"].shape == (2, 3, 2, 2)
    assert not found["pixel_values"].any()
    assert writing.patch_size == showing.patch_size == 7


def test_a_size_is_learned_once_and_the_tower_gets_what_it_was_learned_from():
    images = Grids()
    writing, showing = both(images)
    first, second = picture(4, 2), picture(4, 2)
    writing([first])
    assert showing([first])["pixel_values"].max() == 1
    writing([second, first])
    assert images.calls == [[(4, 2)]]
    assert showing([second])["pixel_values"].max() == 2
    assert showing([first])["pixel_values"].max() == 3  # given away before
    writing([second], patch_size=3)  # other settings may give other sizes
    assert len(images.calls) == 4


def test_what_is_kept_for_the_tower_goes_with_its_picture():
    made = ByPicture(SimpleNamespace(image_processor=Grids()))
    shown = picture(4, 2)
    made.writing.image_processor([shown])
    assert len(made._made) == 1
    del shown
    gc.collect()
    assert not made._made


def test_the_kept_sizes_are_bounded(monkeypatch):
    monkeypatch.setattr(sizes, "_SIZES", 3)
    made = ByPicture(SimpleNamespace(image_processor=Grids()))
    for width in range(1, 9):
        made.writing.image_processor([picture(width, 1)])
    assert len(made._outlines) <= 3


def test_an_image_processor_that_says_more_is_asked_about_all_pictures_together():
    images = Grids("image_aspects")
    writing, _ = both(images)
    for _ in range(2):
        found = writing([picture(4, 2), picture(3, 3)])
        assert found["image_aspects"].tolist() == [1, 1]
        assert found["pixel_values"].any()
        assert images.calls[-1] == [(4, 2), (3, 3)]
