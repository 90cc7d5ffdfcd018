"""Keys and values of rows that come and go: every row keeps its own, and nobody else's."""

import random

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, Qwen3NextConfig

from memvr_integrations.backend.decoding.caches.slots import (
    SlotCache,
    SlotLayer,
    StateLayer,
    joinable,
    prompt_cache,
)

LAYERS, HEADS, DIM = 3, 2, 4
CONFIG = LlamaConfig(
    num_hidden_layers=LAYERS,
    hidden_size=8,
    num_attention_heads=HEADS,
    num_key_value_heads=HEADS,
    vocab_size=9,
)


class Known:
    """A cache, and beside it what each of its rows must hold: (layers, heads, length, dim)."""

    def __init__(self):
        self.cache, self.rows = SlotCache(CONFIG), []
        self._random = torch.Generator().manual_seed(1)

    def join(self, *lengths, which=None, spoilt=False):
        width = max(lengths)
        keys = self._new(LAYERS, len(lengths), HEADS, width, DIM)
        for row, length in enumerate(lengths):
            keys[:, row, :, : width - length] = float("nan")  # padding may hold anything
            if spoilt:
                keys[:, row] = float("nan")
        read = prompt_cache(CONFIG)
        for layer in range(LAYERS):
            read.update(keys[layer], -keys[layer], layer)
        which = list(range(len(lengths))) if which is None else which
        prompts = [torch.arange(lengths[row]) for row in which]
        self.cache.join(read, which, prompts)
        self.rows += [keys[:, row, :, width - lengths[row] :].clone() for row in which]

    def step(self):
        new = self._new(LAYERS, len(self.rows), HEADS, 1, DIM)
        seen = [self.cache.update(new[at], -new[at], at) for at in range(LAYERS)]
        self.cache.advance()
        self.rows = [torch.cat([row, new[:, at]], dim=-2) for at, row in enumerate(self.rows)]
        return seen

    def leave(self, *slots):
        order = self.cache.leave(slots)
        self.rows = [self.rows[at] for at in order]
        return order

    def check(self):
        """A step brings back every row's own, and zeros after its end."""
        for layer, (keys, values) in enumerate(self.step()):
            for at, row in enumerate(self.rows):
                length = row.shape[-2]
                assert torch.equal(keys[at, :, :length], row[layer])
                assert torch.equal(values[at, :, :length], -row[layer])
                assert not keys[at, :, length:].any()
                assert not values[at, :, length:].any()

    def _new(self, *shape):
        return torch.randn(shape, generator=self._random)


def kept(cache):
    return [tensor for layer in cache._own for tensor in layer._kept]


def test_rows_of_all_lengths_keep_their_own():
    known = Known()
    known.join(5, 9, 2)
    for _ in range(4):
        known.check()
    known.join(7, 30)
    known.check()
    assert known.leave(1) == [0, 4, 2, 3]
    known.check()
    known.join(3, 4, which=[1, 1, 0])  # several answers of one prompt
    known.check()
    assert known.leave(0, 3, 6) == [4, 1, 2, 5]
    known.check()


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_come_and_go_at_random(seed):
    rng, known = random.Random(seed), Known()
    for _ in range(60):
        if not known.rows or rng.random() < 0.3:
            known.join(*[rng.randint(1, 150) for _ in range(rng.randint(1, 4))])
        elif rng.random() < 0.4:
            known.leave(*rng.sample(range(len(known.rows)), rng.randint(1, len(known.rows))))
        if known.rows:
            known.check()


def test_what_a_row_leaves_behind_reaches_nobody():
    """What is masked is still multiplied, by zero: not even NaN may lie there."""
    known = Known()
    known.join(40, spoilt=True)
    known.join(5)
    known.join(40, spoilt=True)
    known.step()
    assert known.leave(0, 2) == [1]
    known.check()
    known.join(3, 4)
    for _ in range(3):
        known.check()


def test_a_row_that_joins_a_free_slot_moves_nobody():
    known = Known()
    known.join(20, 30, 10)
    known.leave(1)
    before = [tensor.data_ptr() for tensor in kept(known.cache)]
    known.join(25)
    assert [tensor.data_ptr() for tensor in kept(known.cache)] == before
    known.check()


def test_room_grows_seldom_and_is_given_back():
    known = Known()
    known.join(10, 10)
    moved, before = 0, None
    for _ in range(300):
        known.step()
        now = kept(known.cache)[0].data_ptr()
        moved, before = moved + (now != before), now
    assert moved < 8
    known.join(*[200] * 6)
    wide = kept(known.cache)[0].numel()
    known.leave(*range(7))
    assert kept(known.cache)[0].numel() < wide / 2
    known.check()


def test_a_prompt_is_given_up_layer_by_layer():
    known, read = Known(), prompt_cache(CONFIG)
    states = torch.ones(1, HEADS, 4, DIM)
    for layer in range(LAYERS):
        read.update(states, states, layer)
    known.cache.join(read, [0], [torch.arange(4)])
    assert all(layer.keys is None and layer.values is None for layer in read.layers)


def test_the_tokens_that_were_read_are_known():
    known = Known()
    known.join(3, 1)
    assert known.cache.prompts.tolist() == [[0, 1, 2], [0, -1, -1]]
    known.leave(0)
    known.step()
    assert known.cache.prompts.tolist() == [[0, -1]]


def test_sums_of_the_past_move_with_their_rows():
    config = Qwen3NextConfig(num_hidden_layers=2, layer_types=["linear_attention"] * 2)
    [kind, _] = DynamicCache(config=config).layers
    layer = StateLayer(number_of_states=kind.number_of_states)
    expected = []
    for first in (0, 10):
        read = type(kind)(number_of_states=kind.number_of_states)
        rows = torch.arange(first, first + 3.0)
        read.update_conv_state(rows[:, None, None].expand(3, 2, 4).clone())
        read.update_recurrent_state(rows[:, None, None, None].expand(3, 2, 2, 2).clone())
        layer.join(read, [2, 0], [0, 0])
        expected += [first + 2, first]
    assert layer.conv_states[0][:, 0, 0].tolist() == expected
    layer.leave(1, 3)
    assert layer.conv_states[0][:, 0, 0].tolist() == [2, 10, 12]
    assert layer.recurrent_states[0][:, 0, 0, 0].tolist() == [2, 10, 12]
    assert layer.has_previous_state == read.has_previous_state


def test_windows_are_kept_whole_and_unknown_layers_cannot_join():
    sliding = Qwen3NextConfig(num_hidden_layers=1, layer_types=["full_attention"])
    assert joinable(sliding)
    from transformers import Gemma3TextConfig

    config = Gemma3TextConfig(num_hidden_layers=6, sliding_window=8)
    assert joinable(config)
    assert {type(layer) for layer in SlotCache(config)._own} == {SlotLayer}
    read = prompt_cache(config)
    states = torch.randn(1, 1, 20, 4)
    for layer in range(6):
        read.update(states, states, layer)
    assert {layer.keys.shape[-2] for layer in read.layers} == {20}
