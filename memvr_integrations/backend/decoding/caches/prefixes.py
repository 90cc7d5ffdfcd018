"""Keys and values of prompts that were read plainly, for prompts that begin as they do."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from memvr_integrations.backend.hosting.prompts.writer import Picture

Units: TypeAlias = NDArray[np.int64]
"""A prompt's tokens, with a number of its picture in place of each image token."""

# A prompt that adds less than this to one that is kept is not worth keeping too.
_LEAST, _SHARE = 16, 8
_WORTH = 4  # a beginning of less than a quarter saves less than reading it with others does
_LATELY, _PICTURES = 8, 64  # prompts, and pictures that are remembered


@dataclass(frozen=True, eq=False)
class Prefix:
    """The keys and values of a prompt, a pair a layer, each (1, heads, length, dim)."""

    units: Units
    layers: Sequence[tuple[Tensor, Tensor]]

    @property
    def nbytes(self) -> int:
        """Its size in memory."""
        return self.units.nbytes + sum(one.nbytes for pair in self.layers for one in pair)

    def cache(self, length: int, prompts: Sequence[Tensor]) -> "PrefixCache":
        """Its first positions as a cache of some prompts, which a forward can go on from."""
        layers = []
        for keys, values in self.layers:
            layer = DynamicLayer()
            layer.lazy_initialization(keys, values)
            layer.keys = keys[:, :, :length].expand(len(prompts), -1, -1, -1)
            layer.values = values[:, :, :length].expand(len(prompts), -1, -1, -1)
            layers.append(layer)
        return PrefixCache(layers, torch.stack([ids[:length] for ids in prompts]))


class PrefixCache(Cache):
    """What prompts begin with; `prompts` are its tokens, (prompts, length)."""

    def __init__(self, layers: Sequence[DynamicLayer], prompts: Tensor) -> None:
        super().__init__(layers=[*layers])
        self.prompts = prompts


class PrefixStore:
    """What was used last stays, within `limit` bytes; `hits` and `tokens` count what was reused.

    Nothing may outlive a change of the model: `Decoder.check_model`.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[int, Prefix] = OrderedDict()
        self._size = self._next = self.hits = self.tokens = 0
        self._shown: OrderedDict[object, None] = OrderedDict()
        self._again: deque[bool] = deque(maxlen=_LATELY)

    def note(self, pictures: Sequence[Picture]) -> None:
        """Count a prompt about some pictures."""
        key = tuple(picture.hash for picture in pictures)
        self._again.append(key in self._shown)
        self._shown[key] = None
        self._shown.move_to_end(key)
        if len(self._shown) > _PICTURES:
            self._shown.popitem(last=False)

    @property
    def likely(self) -> bool:
        """Whether a picture was lately asked about again."""
        return any(self._again)

    def find(self, units: Units) -> tuple[Prefix | None, int]:
        """What begins most like a prompt, and for how many of its tokens; not for the last one."""
        best, most, length = None, 0, len(units) - 1
        for key, prefix in self._kept.items():
            width = min(length, len(prefix.units))
            differs = np.flatnonzero(prefix.units[:width] != units[:width])
            same = int(differs[0]) if len(differs) else width
            if same > most:
                best, most = key, same
        if best is None or most * _WORTH < len(units):
            return None, 0
        self._kept.move_to_end(best)
        return self._kept[best], most

    def worth_keeping(self, units: Units) -> bool:
        """Whether keeping a prompt would save much that is not kept already."""
        _, known = self.find(units)
        return self.limit > 0 and len(units) - known > max(_LEAST, len(units) // _SHARE)

    def put(self, units: Units, cache: Cache, row: int, *, shared: int, after: int) -> None:
        """Keep what a row of a cache has plainly of its prompt.

        The first `shared` of its tokens lie in the first columns, the others in the last but
        `after`. Layers that have no such row have its keys in their last one.
        """
        layers = []
        for keys, values in _pairs(cache):
            end = keys.shape[2] - after
            start = end - (len(units) - shared)
            at = min(row, len(keys) - 1)
            kept = [
                torch.cat([one[at : at + 1, :, :shared], one[at : at + 1, :, start:end]], 2)
                for one in (keys, values)
            ]
            layers.append((kept[0], kept[1]))
        prefix, length = Prefix(units, layers), len(units)
        if prefix.nbytes > self.limit:
            return
        for key, known in list(self._kept.items()):
            shorter = len(known.units)
            if shorter <= length and bool((known.units == units[:shorter]).all()):
                self._drop(key)
        self._kept[self._next], self._size = prefix, self._size + prefix.nbytes
        self._next += 1
        while self._size > self.limit:
            self._drop(next(iter(self._kept)))

    def used(self, rows: int, tokens: int) -> None:
        """Count prompts that went on from what was kept."""
        self.hits, self.tokens = self.hits + rows, self.tokens + rows * tokens

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._shown.clear()
        self._again.clear()
        self._size = 0

    def _drop(self, key: int) -> None:
        self._size -= self._kept.pop(key).nbytes


def units_of(
    ids: Tensor, image_token: int, pictures: Sequence[Picture], counts: Sequence[int]
) -> Units:
    """A prompt's tokens with its pictures in them; `counts` has each picture's image tokens."""
    units: Units = ids.numpy().astype(np.int64)
    places = np.flatnonzero(units == image_token)
    # In company some models see a picture otherwise.
    numbers = [hash((picture.hash, len(pictures) > 1)) for picture in pictures]
    units[places] = np.repeat(numbers, counts)
    return units


def _pairs(cache: Cache) -> Iterator[tuple[Tensor, Tensor]]:
    """The keys and values of each layer of a cache that has them in all."""
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        yield layer.keys, layer.values
