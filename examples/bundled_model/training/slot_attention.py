"""Attention over packed rows that costs little: text sees the picture and its own slot alone.

A packed row is a shared prefix (the picture) and then slots of one length, each with whole
conversations in it. Full attention over the row would compute mostly what its mask then removes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from bundled_model.training.packing import Packer, Row

NAME = "memvr_slots"
PADDING = 10_000
_STEP = 16


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Packed rows in slots.

    Shapes: `ids`, `labels`, `same`, `segments` (batch, text), `positions` (batch, prefix + text),
    `mask` to add (batch, slots, length, prefix + length), where text is slots times length.
    """

    ids: Tensor
    labels: Tensor
    same: Tensor
    segments: Tensor
    positions: Tensor
    mask: Tensor

    def to(self, device: str | torch.device) -> "Slots":
        """The same on a device."""
        return Slots(**{name: value.to(device) for name, value in vars(self).items()})


def in_slots(
    packer: Packer, rows: list[Row], *, shortest: int = 96, cropped: bool = False
) -> Slots:
    """Rows whose conversations lie in slots that are as long as the longest of them.

    `cropped` leaves out what fits into no slot once the number of slots is what the shortest rows
    fill: nearly half of the places would else be padding.
    """
    talks = [_talks(row) for row in rows]
    longest = max(stop - start for row in talks for start, stop in row)
    length = -(-max(longest, shortest) // _STEP) * _STEP
    if cropped:
        sizes = sorted(sum(stop - start for start, stop in row) for row in talks)
        slots = max(round(sizes[len(sizes) // 4] / length), 1)
        layouts = [_fill(row, length)[:slots] for row in talks]
    else:
        layouts = [_fill(sorted(row, key=_size, reverse=True), length) for row in talks]
        slots = max(len(layout) for layout in layouts)
    spread = [
        _spread(row, layout, slots, length) for row, layout in zip(rows, layouts, strict=True)
    ]
    ids, labels, positions = packer.tensors(spread)
    segments = torch.tensor([row.segments for row in spread]).view(len(rows), slots, length)
    own = segments[..., :, None] == segments[..., None, :]
    own &= torch.ones(length, length).tril().bool()
    prefix = ((segments > 0) & (segments < PADDING))[..., None].expand(-1, -1, -1, packer.prefix)
    seen = torch.cat([prefix, own], -1)
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    return Slots(
        ids=ids,
        labels=labels,
        same=packer.same(spread),
        segments=segments.flatten(1),
        positions=positions,
        mask=mask,
    )


def _talks(row: Row) -> list[tuple[int, int]]:
    """Where each conversation begins and ends."""
    starts = [
        index
        for index, segment in enumerate(row.segments)
        if index == 0 or segment != row.segments[index - 1]
    ]
    return list(zip(starts, [*starts[1:], len(row.ids)], strict=True))


def _size(talk: tuple[int, int]) -> int:
    start, stop = talk
    return stop - start


def _fill(talks: list[tuple[int, int]], length: int) -> list[list[tuple[int, int]]]:
    """Talks in slots: each into the first slot that has room."""
    slots: list[list[tuple[int, int]]] = []
    left: list[int] = []
    for start, stop in talks:
        size = stop - start
        fitting = next((index for index, room in enumerate(left) if room >= size), None)
        if fitting is None:
            slots.append([])
            left.append(length)
            fitting = len(slots) - 1
        slots[fitting].append((start, stop))
        left[fitting] -= size
    return slots


def _spread(row: Row, layout: list[list[tuple[int, int]]], slots: int, length: int) -> Row:
    result = Row()
    for index in range(slots):
        talks = layout[index] if index < len(layout) else []
        for start, stop in talks:
            result.ids += row.ids[start:stop]
            result.labels += row.labels[start:stop]
            result.positions += row.positions[start:stop]
            result.segments += row.segments[start:stop]
            result.same += row.same[start:stop]
        empty = (index + 1) * length - len(result.ids)
        result.ids += [0] * empty
        result.labels += [-100] * empty
        result.positions += [0] * empty
        result.segments += [PADDING] * empty
        result.same += [0] * empty
    return result


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """What a layer's attention is over rows in slots, as transformers calls it.

    Shapes: `query` (batch, heads, prefix + text, dim), `key` and `value` likewise or with fewer
    heads; `attention_mask` as `Slots.mask`. Returns (batch, prefix + text, heads, dim).
    """
    batch, heads, _total, dim = query.shape
    if key.shape[1] < heads:  # several query heads share one of the keys
        key, value = (one.repeat_interleave(heads // one.shape[1], 1) for one in (key, value))
    slots, length, columns = attention_mask.shape[1:]
    prefix = columns - length

    def of_slots(part: Tensor) -> Tensor:
        return part[:, :, prefix:].view(batch, heads, slots, length, dim).transpose(1, 2)

    def behind_prefix(part: Tensor) -> Tensor:
        shared = part[:, None, :, :prefix].expand(-1, slots, -1, -1, -1)
        return torch.cat([shared, of_slots(part)], 3).flatten(0, 1)

    attention = _plain if query.device.type == "cpu" else _fused
    causal = torch.ones(prefix, prefix, dtype=torch.bool, device=query.device).tril()
    before = attention(
        query[:, :, :prefix],
        key[:, :, :prefix],
        value[:, :, :prefix],
        torch.zeros_like(causal, dtype=query.dtype).masked_fill(
            ~causal, torch.finfo(query.dtype).min
        ),
        scaling,
    )
    seen = attention(
        of_slots(query).flatten(0, 1),
        behind_prefix(key),
        behind_prefix(value),
        attention_mask.flatten(0, 1)[:, None],
        scaling,
    )
    after = seen.view(batch, slots, heads, length, dim).transpose(1, 2).flatten(2, 3)
    return torch.cat([before, after], 2).transpose(1, 2), None


def _plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    """A fifth faster to train through than the fused one on a CPU: that one's backward is slow."""
    return ((query * scaling) @ key.mT + mask).softmax(-1) @ value


def _fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)


AttentionInterface.register(NAME, attend)
