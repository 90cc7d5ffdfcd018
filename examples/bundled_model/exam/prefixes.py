"""What the decoder makes of a picture, computed once for all questions about it.

A question is some twenty tokens, the picture before it sixty-four: most of an examination would go
into reading the same pictures again.
"""

import torch
from torch import Tensor
from transformers import DynamicCache, LlavaForConditionalGeneration
from transformers.cache_utils import DynamicLayer

_BATCH = 64


class PicturePrefixes:
    """Keys and values of every layer for what stands before a question about one picture.

    It keeps those of one tensor of visual tokens, the latest asked for.
    """

    def __init__(self, model: LlavaForConditionalGeneration, before: list[int]) -> None:
        """`before` holds the token ids that stand before the visual tokens."""
        self._decoder = model.model.language_model
        self._before = torch.tensor(before)
        self._features: Tensor | None = None
        self._layers: list[tuple[Tensor, Tensor]] = []

    def cache(self, features: Tensor, pictures: list[int]) -> DynamicCache:
        """A cache to go on from, for a batch of questions about `pictures`.

        Shapes: `features` (pictures, tokens, dim), of which `pictures` are row numbers.
        """
        if features is not self._features:
            self._layers, self._features = self._read(features), features
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(self._layers):
            cache.update(keys[pictures], values[pictures], layer)
        return cache

    @torch.inference_mode()
    def _read(self, features: Tensor) -> list[tuple[Tensor, Tensor]]:
        embedded = self._decoder.get_input_embeddings()(self._before)
        parts: list[list[tuple[Tensor, Tensor]]] = []
        for some in features.split(_BATCH):
            cache = DynamicCache()
            shown = torch.cat([embedded.expand(len(some), -1, -1), some], 1)
            self._decoder(inputs_embeds=shown, cache=cache, use_cache=True)
            parts.append([_held(layer) for layer in cache.layers])
        return [
            (torch.cat([keys for keys, _ in layer]), torch.cat([values for _, values in layer]))
            for layer in zip(*parts, strict=True)
        ]


def _held(layer: object) -> tuple[Tensor, Tensor]:
    assert isinstance(layer, DynamicLayer)
    assert layer.keys is not None
    assert layer.values is not None
    return layer.keys, layer.values
