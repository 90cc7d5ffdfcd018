"""Encodes pictures once: features by pixel hash, in a cache that is bounded in bytes."""

import inspect
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import PIL.Image
import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.errors import UnsupportedModelError

Prepare: TypeAlias = Callable[[Sequence[PIL.Image.Image]], Mapping[str, Tensor]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Features:
    """What one picture became.

    `tokens` holds a tensor (tokens, dim) an image or tile; or, where a family has all of them in
    one tensor and wants them so, just that one (`stacked`). `deepstack` has them layer by layer.
    """

    tokens: list[Tensor]
    deepstack: list[list[Tensor]]
    stacked: bool

    @property
    def count(self) -> int:
        """How many visual tokens the prompt must have for it."""
        return sum(tensor.shape[:-1].numel() for tensor in self.tokens)

    @property
    def evidence(self) -> list[Tensor]:
        """The visual tokens that can be retraced, a tensor (tokens, dim) an image or tile."""
        return [tensor.reshape(-1, tensor.shape[-1]) for tensor in self.tokens]

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
            logger.debug("let go of %d bytes of image features", oldest.nbytes)


class VisionEncoder:
    """Turns pictures into what the decoder reads, each distinct one once.

    `prepare` gives what the family's processor makes of pictures that stand in one prompt.
    """

    def __init__(self, model: PreTrainedModel, prepare: Prepare, cache: FeatureCache) -> None:
        self._model, self._prepare, self._cache = model, prepare, cache
        encode = getattr(model.base_model, "get_image_features", None)
        if encode is None:
            raise UnsupportedModelError(
                f"{type(model).__name__} has no get_image_features: its images don't become tokens "
                "of the prompt. Choose a model like LLaVA, Qwen-VL or SmolVLM."
            )
        self._encode: Callable[..., BaseModelOutputWithPooling] = encode
        self._accepted = set(inspect.signature(self._encode).parameters)
        # LLaVA-OneVision cuts up finer a picture that is alone in its prompt.
        self._company_counts = "batch_num_images" in self._accepted
        self.encoded = 0

    def release(self) -> None:
        """Let go of the model and of all features; the count stays."""
        del self._model, self._cache, self._prepare, self._encode

    def encode(self, prompts: Sequence[Sequence[Picture]]) -> list[list[Features]]:
        """Every prompt's pictures' features, in order."""
        # Kept outside of the cache too, which may have no room for them.
        known: dict[str, Features] = {}
        return [
            [self._one(picture, len(pictures) > 1, known) for picture in pictures]
            for pictures in prompts
        ]

    def _one(self, picture: Picture, in_company: bool, known: dict[str, Features]) -> Features:
        in_company = in_company and self._company_counts
        noise = picture.noise.key if picture.noise else ""
        key = picture.hash + " in company" * in_company + noise
        features = known.get(key) or self._cache.get(key)
        if features is None:
            features = self._run(picture, 2 if in_company else 1)
            self.encoded += 1
            self._cache.put(key, features)
            logger.debug("encoded an image as %d tokens", features.count)
        known[key] = features
        return features

    def _run(self, picture: Picture, copies: int) -> Features:
        """Encode a picture that stands `copies` times in its prompt."""
        prepared = self._prepare([picture.image] * copies)
        try:
            return self._encoded(picture, prepared, copies)
        except RuntimeError:
            if copies > 1 or not self._is_one_token(prepared):
                raise
        # transformers squeezes the dimension of a lone visual token away, and then misses it
        # (Mistral 3). Beside its twin it is encoded as it is.
        return self._encoded(picture, self._prepare([picture.image] * 2), 2)

    def _is_one_token(self, prepared: Mapping[str, Tensor]) -> bool:
        settings, ids = self._model.config, prepared.get("input_ids")
        token = getattr(settings, "image_token_id", getattr(settings, "image_token_index", None))
        return ids is not None and token is not None and int((ids == token).sum()) == 1

    @torch.inference_mode()
    def _encoded(self, picture: Picture, prepared: Mapping[str, Tensor], copies: int) -> Features:
        """The features of the first of some copies."""
        dtype, device = self._model.dtype, self._model.device
        known = {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in prepared.items()
            if name in self._accepted
        }
        if picture.noise is not None:
            known["pixel_values"] = picture.noise.on(known["pixel_values"], picture.hash)
        output = self._encode(**known, return_dict=True)
        tokens = getattr(output, "pooler_output", None)
        layers = [tokens, *(getattr(output, "deepstack_features", None) or [])]
        if not all(_are_tensors(layer) for layer in layers):
            raise UnsupportedModelError(
                f"{type(self._model).__name__}.get_image_features gives its visual tokens in a "
                "form that is not known. Choose a model like LLaVA, Qwen-VL or SmolVLM."
            )
        first, *deepstack = (_first(layer, copies) for layer in layers)
        return Features(first, deepstack, stacked=isinstance(tokens, Tensor))


def join(found: Sequence[Features]) -> BaseModelOutputWithPooling:
    """All pictures of a batch as `generate(mm_encoder_outputs=...)` takes them."""
    tokens = _flat(features.tokens for features in found)
    joined = BaseModelOutputWithPooling()
    joined["pooler_output"] = torch.cat(tokens) if found[0].stacked else tokens
    if found[0].deepstack:
        layers = zip(*(features.deepstack for features in found), strict=True)
        joined["deepstack_features"] = [_flat(layer) for layer in layers]
    return joined


def _are_tensors(encoded: object) -> bool:
    several = isinstance(encoded, list | tuple) and all(isinstance(one, Tensor) for one in encoded)
    return several or isinstance(encoded, Tensor)


def _first(encoded: Tensor | Sequence[Tensor], copies: int) -> list[Tensor]:
    """The first of several copies' share."""
    share = len(encoded) // copies
    return [encoded[:share]] if isinstance(encoded, Tensor) else list(encoded[:share])


def _flat(parts: Iterable[Iterable[Tensor]]) -> list[Tensor]:
    return [tensor for part in parts for tensor in part]
