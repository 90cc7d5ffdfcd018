"""Encodes pictures once: features by pixel hash, in a cache that is bounded in bytes."""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import PIL.Image
import torch
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin
from transformers.modeling_outputs import BaseModelOutputWithPooling

from memvr_integrations.errors import UnsupportedModelError


@dataclass(frozen=True)
class Features:
    """What one picture became: visual tokens, a tensor a tile; per layer those of deepstack."""

    tokens: list[Tensor]
    deepstack: list[list[Tensor]]
    stacked: bool  # whether the family has the tiles in one tensor, and wants them so

    @property
    def nbytes(self) -> int:
        """Their size in memory."""
        return sum(tensor.nbytes for part in (self.tokens, *self.deepstack) for tensor in part)


DEFAULT_CACHE_BYTES = 256 * 2**20


class FeatureCache:
    """Least recently used features leave first; a picture larger than the cache is not kept."""

    def __init__(self, limit: int = DEFAULT_CACHE_BYTES) -> None:
        self.limit, self.size = limit, 0
        self._kept: OrderedDict[str, Features] = OrderedDict()

    def get(self, key: str) -> Features | None:
        """The features of a pixel hash, or None."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: str, features: Features) -> None:
        """Keep features, and let go of the oldest ones beyond the limit."""
        size = features.nbytes
        if key in self._kept or size > self.limit:
            return
        self._kept[key], self.size = features, self.size + size
        while self.size > self.limit:
            _, oldest = self._kept.popitem(last=False)
            self.size -= oldest.nbytes


class VisionEncoder:
    """Turns pictures into what the decoder reads, each distinct one once."""

    def __init__(
        self, model: PreTrainedModel, processor: ProcessorMixin, cache: FeatureCache
    ) -> None:
        self._model, self._cache = model, cache
        self._processor = processor.image_processor
        encode = model.base_model.get_image_features
        self._encode: Callable[..., BaseModelOutputWithPooling] = encode  # type: ignore[assignment]
        self._accepted = set(inspect.signature(self._encode).parameters)
        self.encoded = 0

    def release(self) -> None:
        """Let go of the model and of all features; the count stays."""
        del self._model, self._cache, self._processor, self._encode

    def encode(
        self, pictures: Sequence[PIL.Image.Image], hashes: Sequence[str]
    ) -> BaseModelOutputWithPooling:
        """All pictures' features, in order, as `generate(mm_encoder_outputs=...)` takes them."""
        distinct = dict(zip(hashes, pictures, strict=True))
        known = {key: self._one(picture, key) for key, picture in distinct.items()}
        found = [known[key] for key in hashes]
        tiles = _flat(features.tokens for features in found)
        joined = BaseModelOutputWithPooling()
        joined["pooler_output"] = torch.stack(tiles) if found[0].stacked else tiles
        if found[0].deepstack:
            layers = zip(*(features.deepstack for features in found), strict=True)
            joined["deepstack_features"] = [_flat(layer) for layer in layers]
        return joined

    def _one(self, picture: PIL.Image.Image, key: str) -> Features:
        features = self._cache.get(key)
        if features is None:
            features = self._run(picture)
            self.encoded += 1
            self._cache.put(key, features)
        return features

    @torch.inference_mode()
    def _run(self, picture: PIL.Image.Image) -> Features:
        inputs = self._processor(images=[picture], return_tensors="pt")
        dtype, device = self._model.dtype, self._model.device
        known = {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in inputs.items()
            if name in self._accepted
        }
        output = self._encode(**known, return_dict=True)
        if output.pooler_output is None:
            raise UnsupportedModelError(
                f"{type(self._model).__name__}.get_image_features gives no pooler_output, so its "
                "visual tokens can't be found."
            )
        deepstack = getattr(output, "deepstack_features", None) or []
        return Features(
            list(output.pooler_output),
            [list(layer) for layer in deepstack],
            stacked=isinstance(output.pooler_output, Tensor),
        )


def _flat(parts: Iterable[Iterable[Tensor]]) -> list[Tensor]:
    return [tensor for part in parts for tensor in part]
