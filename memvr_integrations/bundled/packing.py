"""Packs an image and many independent conversations about it into one training row."""

import random
from dataclasses import dataclass, field

import torch
from torch import Tensor

from memvr_integrations.bundled.model import (
    BOS,
    EOS,
    IMAGE_TOKENS,
    VOCABULARY,
    open_tokenizer,
)
from memvr_integrations.bundled.questions import Turn
from memvr_integrations.bundled.words import CLASSES, COLORS, NUMBERS

_TELLING = 3.0  # weight of numbers and colours: one token of an answer, and the hardest


@dataclass
class Row:
    """One packed training row; `segments` tells its conversations apart."""

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)


class Packer:
    """Packs an image and many independent conversations about it into one training row.

    Every conversation sees the shared prefix and itself (a block-diagonal mask); one asked
    without the image sees only itself.
    """

    def __init__(self) -> None:
        self._tokenizer = open_tokenizer()
        self._known: dict[str, list[int]] = {}
        self._bos, self._eos = (
            int(str(self._tokenizer.convert_tokens_to_ids(token))) for token in (BOS, EOS)
        )
        self.before_image = [self._bos, *self.encode("USER: ")]
        self.prefix = len(self.before_image) + IMAGE_TOKENS
        names = [self.encode(" " + name)[0] for name in CLASSES]
        assert len(set(names)) == len(CLASSES), "two classes share their first token"
        self.class_tokens = torch.tensor([self.encode("\n")[0], *names])
        self.token_weights = torch.ones(VOCABULARY)
        telling = [self.encode(" " + word)[0] for word in (*NUMBERS[1:], *COLORS)]
        self.token_weights[telling] = _TELLING

    @property
    def vocabulary(self) -> list[str]:
        """All tokens in the order of their ids."""
        known: dict[str, int] = self._tokenizer.get_vocab()
        return sorted(known, key=lambda token: known[token])

    def encode(self, text: str) -> list[int]:
        """Token ids of a piece of text, without special tokens."""
        if text not in self._known:
            ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
            self._known[text] = ids
        return self._known[text]

    def row(self, turns: list[Turn], rng: random.Random) -> Row:
        """One row; now and then two turns make one conversation."""
        row, segment, left = Row(), 0, list(turns)
        while left:
            turn, segment = left.pop(0), segment + 1
            follow = left and not turn.blind and not left[0].blind and rng.random() < 0.2
            opening = (
                [self._bos, *self.encode("USER: " + turn.question + " ASSISTANT:")]
                if turn.blind
                else self.encode("\n" + turn.question + " ASSISTANT:")
            )
            spans = [(opening, turn)]
            if follow:
                second = left.pop(0)
                spans.append((self.encode("USER: " + second.question + " ASSISTANT:"), second))
            start = 0 if turn.blind else self.prefix
            for prompt, said in spans:
                answer = [*self.encode(" " + said.answer), self._eos]
                row.ids += prompt + answer
                row.labels += [-100] * len(prompt) + answer
                size = len(prompt) + len(answer)
                row.positions += range(start, start + size)
                row.segments += [-segment if turn.blind else segment] * size
                start += size
        return row

    def pack(self, rows: list[Row]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Ids, labels (batch, text), positions (batch, all), mask to add (batch, 1, all, all)."""
        longest = max(len(row.ids) for row in rows)

        def pad(values: list[int], fill: int) -> list[int]:
            return values + [fill] * (longest - len(values))

        ids = torch.tensor([pad(row.ids, 0) for row in rows])
        labels = torch.tensor([pad(row.labels, -100) for row in rows])
        after = torch.tensor([pad(row.positions, 0) for row in rows])
        shared = torch.arange(self.prefix).expand(len(rows), -1)
        segments = torch.tensor([[0] * self.prefix + pad(row.segments, 10_000) for row in rows])
        query, key = segments[:, :, None], segments[:, None, :]
        seen = (query == key) | ((key == 0) & (query > 0))
        seen &= torch.ones(segments.shape[1], segments.shape[1]).tril().bool()
        mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        return ids, labels, torch.cat([shared, after], 1), mask[:, None]
