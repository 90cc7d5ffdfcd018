"""Encodes pictures once: features by pixel hash, in a cache that is bounded in bytes."""

import inspect
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import PIL.Image
import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from memvr_integrations.backend.hosting.out_of_memory import let_go, out_of_memory
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.backend.hosting.proven import ENCODED_TOGETHER
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

    def clear(self) -> None:
        """Let go of all features."""
        self._kept.clear()
        self.size = 0


# What a tower reads in one call; a single picture may be larger.
_MOST, _MOST_BYTES = 16, 16 * 2**20
_GRIDS = "image_grid_thw"  # of towers that read the patches of all pictures as one sequence


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """A picture that is to be encoded, and what the tower is given of `copies` of it."""

    key: str
    picture: Picture
    copies: int
    inputs: Mapping[str, Tensor]
    one_token: bool

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in self.inputs.values())

    @property
    def form(self) -> tuple[object, ...]:
        """Equal for pictures that a tower reads in one call."""
        if _GRIDS in self.inputs:
            return (self.copies,)
        return self.copies, *((name, value.shape) for name, value in self.inputs.items())


class VisionEncoder:
    """Turns pictures into what the decoder reads, each distinct one once.

    Those that wait together are encoded together, where the family's tower is known to give each
    what it gives it alone. `prepare` gives what the family's processor makes of pictures that stand
    in one prompt.
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
        self.company_counts = "batch_num_images" in self._accepted
        self._most = _MOST if model.config.model_type in ENCODED_TOGETHER else 1
        self._held: dict[str, Features] | None = None
        self.encoded = 0

    def release(self) -> None:
        """Let go of the model and of all features; the count stays."""
        del self._model, self._cache, self._prepare, self._encode

    def forget(self) -> None:
        """Let go of all features, which no longer are the model's."""
        self._cache.clear()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold all features that are asked for meanwhile, also those too large for the cache."""
        self._held = {}
        try:
            yield
        finally:
            self._held = None

    def encode(self, prompts: Sequence[Sequence[Picture]]) -> list[list[Features]]:
        """Every prompt's pictures' features, in order."""
        # Kept outside of the cache too, which may have no room for them.
        known = {} if self._held is None else self._held
        missing: dict[str, tuple[Picture, int]] = {}
        asked = []
        for pictures in prompts:
            in_company = len(pictures) > 1 and self.company_counts
            keys = [_key(picture, in_company) for picture in pictures]
            for key, picture in zip(keys, pictures, strict=True):
                if key in known or key in missing:
                    continue
                features = self._cache.get(key)
                if features is None:
                    missing[key] = picture, 2 if in_company else 1
                else:
                    known[key] = features
            asked.append(keys)
        for some in self._prepared(missing):
            for one, features in zip(some, self._run(some), strict=True):
                self.encoded += 1
                known[one.key] = features
                self._cache.put(one.key, features)
                logger.debug("encoded an image as %d tokens", features.count)
        return [[known[key] for key in keys] for keys in asked]

    def _prepared(self, missing: Mapping[str, tuple[Picture, int]]) -> Iterator[list[_Waiting]]:
        """The pictures that are encoded together, call by call.

        Each is prepared by itself, for a processor pads those of one prompt.
        """
        waiting, size = list[_Waiting](), 0
        for key, (picture, copies) in missing.items():
            one = self._waiting(key, picture, copies)
            if waiting and (len(waiting) == self._most or size + one.nbytes > _MOST_BYTES):
                yield from _by_form(waiting)
                waiting, size = [], 0
            waiting.append(one)
            size += one.nbytes
        yield from _by_form(waiting)

    def _waiting(self, key: str, picture: Picture, copies: int) -> _Waiting:
        prepared = self._prepare([picture.image] * copies)
        settings, ids = self._model.config, prepared.get("input_ids")
        token = getattr(settings, "image_token_id", getattr(settings, "image_token_index", None))
        one_token = ids is not None and token is not None and int((ids == token).sum()) == 1
        inputs = {name: value for name, value in prepared.items() if name in self._accepted}
        return _Waiting(key=key, picture=picture, copies=copies, inputs=inputs, one_token=one_token)

    def _run(self, some: Sequence[_Waiting]) -> list[Features]:
        """Encode pictures of one form: in one call, or where memory runs out, in several."""
        if len(some) == 1:
            return self._alone(some[0])
        try:
            return self._encoded(some)
        except Exception as error:
            if not out_of_memory(error):
                raise
            let_go(error)
        half = len(some) // 2
        return [*self._run(some[:half]), *self._run(some[half:])]

    def _alone(self, one: _Waiting) -> list[Features]:
        try:
            return self._encoded([one])
        except RuntimeError:
            if one.copies > 1 or not one.one_token:
                raise
        # transformers squeezes the dimension of a lone visual token away, and then misses it
        # (Mistral 3). Beside its twin it is encoded as it is.
        return self._encoded([self._waiting(one.key, one.picture, 2)])

    @torch.inference_mode()
    def _encoded(self, some: Sequence[_Waiting]) -> list[Features]:
        """The features of pictures of one form: of several copies, the first one's."""
        given = [self._given(one) for one in some]
        together = {name: torch.cat([one[name] for one in given]) for name in given[0]}
        output = self._encode(**together, return_dict=True)
        tokens = getattr(output, "pooler_output", None)
        layers = [tokens, *(getattr(output, "deepstack_features", None) or [])]
        if not all(_are_tensors(layer) for layer in layers):
            raise UnsupportedModelError(
                f"{type(self._model).__name__}.get_image_features gives its visual tokens in a "
                "form that is not known. Choose a model like LLaVA, Qwen-VL or SmolVLM."
            )
        shares = zip(*(_shares(layer, len(some), some[0].copies) for layer in layers), strict=True)
        return [
            Features(first, deepstack, stacked=isinstance(tokens, Tensor))
            for first, *deepstack in shares
        ]

    def _given(self, one: _Waiting) -> dict[str, Tensor]:
        dtype, device = self._model.dtype, self._model.device
        given = {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in one.inputs.items()
        }
        if one.picture.noise is not None:
            given["pixel_values"] = one.picture.noise.on(given["pixel_values"], one.picture.hash)
        return given


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


def _shares(encoded: Tensor | Sequence[Tensor], pictures: int, copies: int) -> list[list[Tensor]]:
    """What each picture has of that which was made of some copies of all."""
    share = len(encoded) // (pictures * copies)
    starts = range(0, share * copies * pictures, share * copies)
    if isinstance(encoded, Tensor):
        found = [[encoded[at : at + share]] for at in starts]
    else:
        found = [list(encoded[at : at + share]) for at in starts]
    # Parts of one tensor would keep all of it in memory.
    return found if pictures == 1 else [[part.clone() for part in own] for own in found]


def _flat(parts: Iterable[Iterable[Tensor]]) -> list[Tensor]:
    return [tensor for part in parts for tensor in part]


def _key(picture: Picture, in_company: bool) -> str:
    noise = picture.noise.key if picture.noise else ""
    return picture.hash + " in company" * in_company + noise


def _by_form(waiting: Sequence[_Waiting]) -> list[list[_Waiting]]:
    forms: dict[tuple[object, ...], list[_Waiting]] = {}
    for one in waiting:
        forms.setdefault(one.form, []).append(one)
    return list(forms.values())
