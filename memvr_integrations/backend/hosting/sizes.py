"""What a prompt needs of a picture, known from its size; so that its pixels are processed once.

A family's processor asks its image processor for everything: pixels for the tower, and beside them
the numbers by which it writes the prompt (tiles, grids, sizes). Those depend on a picture's size
alone, so they are kept by size, and most prompts are written without touching a pixel.
"""

import copy
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import PIL.Image
import torch
from torch import Tensor
from transformers import BaseImageProcessor, BatchFeature, ProcessorMixin

Pictures: TypeAlias = "list[PIL.Image.Image] | list[list[PIL.Image.Image]]"
Process: TypeAlias = Callable[..., BatchFeature]
# A value that is no tensor is a list a prompt, with a number a picture.
Part: TypeAlias = "Mapping[str, Tensor | list[list[int]]]"

_PIXELS = ("pixel_values", "pixel_attention_mask")
_BY_PROMPT = "batch_num_images"  # LLaVA-OneVision's, which cuts up a picture that is alone
# All that image processors are known to say. One that says more may mean several pictures at
# once by it, so it is asked about all of a prompt, each time.
_KNOWN = {
    *_PIXELS,
    _BY_PROMPT,
    "cols",
    "image_grid_thw",
    "image_position_ids",
    "image_sizes",
    "num_crops",
    "num_patches",
    "num_soft_tokens_per_image",
    "rows",
}
_SIZES = 10_000  # are kept, of some hundred bytes each


class ByPicture:
    """Runs one image processor on each picture by itself, and no more often than it has to.

    `writing` is the processor for prompts: its pixels have their shapes and are all zero. The first
    picture of a size is processed for it, and what that gave is kept for `showing`, the processor
    for what the tower reads, for as long as the picture lives.
    """

    def __init__(self, processor: ProcessorMixin) -> None:
        images: BaseImageProcessor = processor.image_processor
        self._process: Process = images
        self._company_counts = _BY_PROMPT in images.model_input_names
        self._outlines: dict[tuple[object, ...], Part] = {}
        self._made: dict[tuple[object, ...], BatchFeature] = {}
        self.writing = _with(processor, self._outline)
        self.showing = _with(processor, self._whole)

    def _outline(self, images: Pictures, **settings: object) -> BatchFeature:
        """What the image processor says of one prompt's pictures, without their pixels."""
        pictures, nested = _flat(images), isinstance(images[0], list)
        copies = 2 if self._company_counts and len(pictures) > 1 else 1
        parts: list[Part] = []
        for picture in pictures:
            size = (picture.size, copies, repr(settings))
            part = self._outlines.get(size)
            if part is None:
                twins = [picture] * copies
                made = self._process([twins] if nested else twins, **settings)
                if not made.keys() <= _KNOWN:
                    return self._process(images, **settings)
                self._keep(made, picture, size)
                part = {name: _share(made[name], name, copies) for name in made}
                if len(self._outlines) >= _SIZES:
                    self._outlines.clear()
                self._outlines[size] = part
            parts.append(part)
        return BatchFeature({name: _joined([p[name] for p in parts], name) for name in parts[0]})

    def _keep(self, made: BatchFeature, picture: PIL.Image.Image, size: tuple[object, ...]) -> None:
        key = (id(picture), *size)
        self._made[key] = made
        weakref.finalize(picture, self._made.pop, key, None).atexit = False

    def _whole(self, images: Pictures, **settings: object) -> BatchFeature:
        """What the image processor makes of copies of one picture."""
        picture, *more = _flat(images)
        key = (id(picture), picture.size, 1 + len(more), repr(settings))
        made = self._made.pop(key, None)
        return self._process(images, **settings) if made is None else made


class _StandIn:
    """An image processor with another call."""

    def __init__(self, images: BaseImageProcessor, call: Process) -> None:
        self._images, self._call = images, call

    def __getattr__(self, name: str) -> object:
        return getattr(self._images, name)

    def __call__(self, images: Pictures, **settings: object) -> BatchFeature:
        return self._call(images, **settings)


def _with(processor: ProcessorMixin, call: Process) -> ProcessorMixin:
    changed = copy.copy(processor)
    changed.image_processor = _StandIn(processor.image_processor, call)
    return changed


def _flat(images: Pictures) -> list[PIL.Image.Image]:
    """The pictures of one prompt, which some processors put into a list a prompt."""
    return [one for part in images for one in (part if isinstance(part, list) else [part])]


def _share(value: "Tensor | list[list[int]]", name: str, copies: int) -> "Tensor | list[list[int]]":
    """What a picture has of a value that was made of some copies of it."""
    if not isinstance(value, Tensor):
        return value
    share = value[: len(value) // copies]
    return _zeros(share.shape, share) if name in _PIXELS else share.clone()


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    """Zeros that take the memory of one."""
    return like.new_zeros(()).expand(*shape)


def _joined(values: "Sequence[Tensor | list[list[int]]]", name: str) -> "Tensor | list[list[int]]":
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        return [[number for [numbers] in values for number in numbers]]
    if name == _BY_PROMPT:
        return torch.tensor([len(tensors)])
    if name not in _PIXELS:
        return torch.cat(tensors)
    # Pictures of one prompt are padded to the largest.
    first, *others = zip(*(tensor.shape for tensor in tensors), strict=True)
    return _zeros([sum(first), *map(max, others)], tensors[0])
