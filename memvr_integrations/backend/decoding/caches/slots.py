"""The keys and values of rows that come and go: each row has a slot and begins at column 0.

A row that joins is written into a free slot, and one that leaves gives its slot to the last one:
nobody else's are copied. Rows are as long as they are, and what lies after a row's end is masked,
so columns that no row needs are never computed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache, DynamicCache, PreTrainedConfig
from transformers.cache_utils import (
    CacheLayerMixin,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionLayer,
)

_Kept = TypeVar("_Kept")

_SPARE = 64  # columns of room at least, so that growing is rare
_ALIGNED = 8  # columns: kernels of attention take masks of such widths as they are


class Lengths:
    """How long each row is; the layers of one cache share it.

    `longest` is 0 without rows, and `even` says whether all are as long. Steps that are to do the
    same work whatever the lengths see all columns of the `room`; None: as many as are needed.
    """

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.room: int | None = None
        self.changed()

    def changed(self) -> None:
        """Forget what was made of the rows as they were."""
        self.longest = max(self.rows, default=0)
        self.even = len(set(self.rows)) <= 1
        self._columns: Tensor | None = None
        self._every: Tensor | None = None

    def advance(self) -> None:
        """Count one more position of every row; on a device, in the tensor that is there."""
        self.rows = [length + 1 for length in self.rows]
        self.longest += 1
        if self._columns is not None:
            self._columns += 1

    def columns(self, device: torch.device) -> Tensor:
        """Each row's length, (rows,), on a device."""
        if self._columns is None or self._columns.device != device:
            self._columns = torch.tensor(self.rows, dtype=torch.long, device=device)
        return self._columns

    def every(self, device: torch.device) -> Tensor:
        """The numbers of all rows, (rows,), on a device."""
        if self._every is None or self._every.device != device:
            self._every = torch.arange(len(self.rows), device=device)
        return self._every


class SlotLayer(DynamicLayer):
    """The keys and values of one layer, each (slots, heads, columns, dim), with room to grow.

    A `window` is kept whole: what a row no longer sees is masked. Where all rows are as long, it is
    left out, as it is where a model keeps nothing else.
    """

    def __init__(self, lengths: Lengths, window: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._lengths, self._window = lengths, window
        self.is_sliding = window is not None
        self._kept: list[Tensor] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write one new position a row; all keys and values up to the longest row's."""
        lengths = self._lengths
        rows, end = len(lengths.rows), lengths.longest + 1
        self._make_room(rows, end)
        # Views are made anew each time, so this counts: `narrow` is several times as quick as [].
        keys, values = (kept.narrow(0, 0, rows) for kept in self._kept)
        if lengths.even and lengths.room is None:
            keys.narrow(2, end - 1, 1).copy_(key_states)
            values.narrow(2, end - 1, 1).copy_(value_states)
        else:
            every, columns = lengths.every(keys.device), lengths.columns(keys.device)
            keys[every, :, columns] = key_states[:, :, 0]
            values[every, :, columns] = value_states[:, :, 0]
        start = self._first(end)
        if lengths.room is not None:
            start, end = 0, lengths.room
        return keys.narrow(2, start, end - start), values.narrow(2, start, end - start)

    def get_seq_length(self) -> int:
        """The length of the longest row."""
        return self._lengths.longest

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many columns a step attends to, and which is the first."""
        end = self._lengths.longest + query_length
        return end - self._first(end), self._first(end)

    def _first(self, end: int) -> int:
        return max(end - self._window, 0) if self._window and self._lengths.even else 0

    def join(self, layer: CacheLayerMixin, rows: Sequence[int], shared: int) -> None:
        """Copy `rows` of a prefilled layer into new slots, without what is padding."""
        if layer.keys is None or layer.values is None:
            return
        read, lengths = (layer.keys, layer.values), self._lengths.rows
        if not self._kept:
            self._kept = [states.new_empty((0, *states.shape[1:])) for states in read]
            self.is_initialized = True
        before = len(lengths) - len(rows)
        self._make_room(len(lengths), max(lengths[before:]) + 1)
        for kept, states in zip(self._kept, read, strict=True):
            for slot, row in enumerate(rows, start=before):
                own = lengths[slot] - shared
                kept[slot, :, :shared] = states[row, :, :shared]
                kept[slot, :, shared : lengths[slot]] = states[row, :, states.shape[2] - own :]
                _clear(kept, slot, lengths[slot])

    def leave(self, slot: int, last: int) -> None:
        """Give up a slot: the last one's row moves in."""
        end = self._lengths.rows[last]
        for kept in self._kept if slot != last else ():
            kept[slot, :, :end] = kept[last, :, :end]
            _clear(kept, slot, end)

    def reserve(self) -> int:
        """Make room for steps to come; how many columns there is room for."""
        self._make_room(len(self._lengths.rows), self._lengths.longest + _SPARE)
        return self._kept[0].shape[2]

    def trim(self) -> None:
        """Give back memory where more than half of it is empty."""
        if self._kept:
            slots, _, columns, _ = self._kept[0].shape
            needed = len(self._lengths.rows), self._lengths.longest + _SPARE
            if 2 * needed[0] * needed[1] < slots * columns:
                self._resize(*needed)

    def _make_room(self, rows: int, columns: int) -> None:
        slots, _, room, _ = self._kept[0].shape
        if rows > slots or columns > room:
            wider = columns + max(_SPARE, columns // 8) if columns > room else room
            self._resize(max(rows, slots), wider)

    def _resize(self, slots: int, columns: int) -> None:
        # One after the other, so that at most one of them is there twice.
        for at in range(len(self._kept)):
            self._kept[at] = _resized(self._kept[at], slots, columns)


class StateLayer(LinearAttentionLayer):
    """The states of one layer that keeps sums of the past instead of keys: a row a slot."""

    def join(self, layer: CacheLayerMixin, rows: Sequence[int], shared: int) -> None:
        """Take over `rows` of a prefilled layer."""
        assert isinstance(layer, LinearAttentionLayer)
        for own, read in zip(self._states, _states(layer), strict=True):
            for at, states in read.items():
                if states is not None:
                    new, before = states[list(rows)], own[at]
                    own[at] = new if before is None else torch.cat([before, new])
        for name in ("has_previous_state", "conv_kernel_size", "dtype", "device"):
            setattr(self, name, getattr(layer, name))
        for name in ("is_conv_states_initialized", "is_recurrent_states_initialized"):
            setattr(self, name, getattr(layer, name))

    def leave(self, slot: int, last: int) -> None:
        """Give up a slot: the last one's row moves in."""
        for own in self._states:
            for at, states in own.items():
                if states is not None:
                    states[slot] = states[last]
                    own[at] = states[:last]

    def trim(self) -> None:
        """Nothing is kept in reserve."""

    @property
    def _states(self) -> tuple[dict[int, Tensor | None], dict[int, Tensor | None]]:
        return _states(self)


class SlotCache(Cache):
    """A cache of slots in the form that transformers' models read and write."""

    def __init__(self, config: PreTrainedConfig) -> None:
        """Make an empty one for a model with a config that is `joinable`."""
        self.lengths = Lengths()
        self._prompts: list[Tensor] = []
        layers = [layer for layer in _slot_layers(config, self.lengths) if layer is not None]
        self._own = [layer for layer in layers if isinstance(layer, SlotLayer | StateLayer)]
        super().__init__(layers=layers)

    @property
    def prompts(self) -> Tensor:
        """The tokens of the prompts, (rows, length of the longest row); -1 after a prompt's end."""
        width = self.lengths.longest
        return torch.stack([pad(ids, (0, width - len(ids)), value=-1) for ids in self._prompts])

    def join(
        self, cache: Cache, rows: Sequence[int], prompts: Sequence[Tensor], shared: int = 0
    ) -> None:
        """Take over `rows` of a prefilled cache; a row may come twice.

        `prompts` are the tokens that each of them has read. The first `shared` are those of all
        rows, and what follows is padded on the left. The prefilled layers are emptied one after
        the other, so that at most one of them is there twice.
        """
        self._prompts += prompts
        self.lengths.rows += [len(ids) for ids in prompts]
        self.lengths.changed()
        for own, layer in zip(self.layers, cache.layers, strict=True):
            if isinstance(own, SlotLayer | StateLayer):
                own.join(layer, rows, shared)  # type: ignore[arg-type]  # of `prompt_cache`
            if isinstance(layer, DynamicLayer):
                layer.keys = layer.values = None

    def leave(self, slots: Sequence[int]) -> list[int]:
        """Drop rows; for each slot that is left, which row it holds now."""
        order = list(range(len(self.lengths.rows)))
        for slot in sorted(slots, reverse=True):
            last = len(order) - 1
            for layer in self._own:
                layer.leave(slot, last)
            _move(order, slot)
            _move(self.lengths.rows, slot)
            _move(self._prompts, slot)
        self.lengths.changed()
        for layer in self._own:
            layer.trim()
        return order

    def advance(self) -> None:
        """Count the position that every row has just got."""
        self.lengths.advance()

    @property
    def attends(self) -> bool:
        """Whether all layers keep keys and values of their own, and nothing else."""
        return all(isinstance(layer, SlotLayer) for layer in self.layers)

    def reserve(self) -> int:
        """Make room for steps to come; the longest that a row may get `within` it."""
        rooms = [layer.reserve() for layer in self._own if isinstance(layer, SlotLayer)]
        return min(rooms) // _ALIGNED * _ALIGNED

    @contextmanager
    def within(self, room: int) -> Iterator[None]:
        """Inside, a step does the same work whatever the lengths: it sees `room` columns.

        They are those that `reserve` gave, for as long as no row joins or leaves.
        """
        self.lengths.room = room
        try:
            yield
        finally:
            self.lengths.room = None


def prompt_cache(config: PreTrainedConfig) -> Cache:
    """An empty cache for reading prompts, which forgets nothing that a window no longer shows."""
    layers = DynamicCache(config=config).layers
    return Cache(
        layers=[
            DynamicLayer() if type(layer) is DynamicSlidingWindowLayer else layer
            for layer in layers
        ]
    )


def joinable(config: PreTrainedConfig) -> bool:
    """Whether rows of a model with this config can join and leave while others decode."""
    return all(layer is not None for layer in _slot_layers(config, Lengths()))


def _slot_layers(config: PreTrainedConfig, lengths: Lengths) -> list[Any]:
    # Some are of a class that older releases of transformers haven't.
    return [_slot_layer(layer, lengths) for layer in DynamicCache(config=config).layers]


def _slot_layer(layer: object, lengths: Lengths) -> object:
    kind = type(layer)
    if isinstance(layer, DynamicLayer) and kind in (DynamicLayer, DynamicSlidingWindowLayer):
        return SlotLayer(lengths, getattr(layer, "sliding_window", None))
    if isinstance(layer, LinearAttentionLayer) and kind is LinearAttentionLayer:
        return StateLayer(number_of_states=layer.number_of_states)
    # It uses another one's keys and values.
    return layer if kind.__name__ == "DummyLayer" else None


def _states(
    layer: LinearAttentionLayer,
) -> tuple[dict[int, Tensor | None], dict[int, Tensor | None]]:
    return layer.conv_states, layer.recurrent_states


def _move(kept: list[_Kept], slot: int) -> None:
    kept[slot] = kept[-1]
    kept.pop()


def _clear(kept: Tensor, slot: int, end: int) -> None:
    # What is masked is still multiplied, by zero: another's NaN must not lie there.
    kept[slot, :, end:] = 0


def _resized(kept: Tensor, slots: int, columns: int) -> Tensor:
    resized = kept.new_zeros(slots, kept.shape[1], columns, kept.shape[3])
    rows, width = min(slots, kept.shape[0]), min(columns, kept.shape[2])
    resized[:rows, :, :width] = kept[:rows, :, :width]
    return resized
