"""Packs an image and many independent conversations about it into one training row."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from bundled_model.conversations.asker import Talk
from bundled_model.training.model import (
    BOS,
    EOS,
    IMAGE,
    IMAGE_TOKENS,
    VOCABULARY,
    open_tokenizer,
)
from memvr_integrations.bundled.world import CLASSES, COLORS, NUMBERS

_LONG = 300
_HEAVY = 3.0  # weight of the words that an answer is about: few of its tokens, and the hardest
_PLACING = ("top", "bottom", "left", "right", "center", "above", "below", "first", "second")


@dataclass
class Row:
    """One packed training row; `segments` numbers its conversations.

    `same` numbers the places that ought to say the same yes or no (0 elsewhere). Where `ids` holds
    the image token, the visual tokens of the next picture of the batch are put in: the second of
    two, or the only one of a conversation that doesn't begin with it.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    same: list[int] = field(default_factory=list)


class Packer:
    """Packs an image and many independent conversations about it into one training row.

    Every conversation sees the shared prefix and itself (a block-diagonal mask); one that doesn't
    begin with the image sees only itself, one about two pictures has the second one in itself.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast | None = None) -> None:
        self._tokenizer = tokenizer or open_tokenizer()
        self._known: dict[str, list[int]] = {}
        self._bos, self._eos, self.image = (
            int(str(self._tokenizer.convert_tokens_to_ids(token))) for token in (BOS, EOS, IMAGE)
        )
        self.before_image = [self._bos, *self.encode("USER: ")]
        self.prefix = len(self.before_image) + IMAGE_TOKENS
        names = [self.encode(" " + name)[0] for name in CLASSES]
        assert len(set(names)) == len(CLASSES), "two classes share their first token"
        self.class_tokens = torch.tensor([self.encode("\n")[0], *names])
        self.token_weights = torch.ones(VOCABULARY)
        words = (*NUMBERS[1:], *COLORS, *CLASSES, *_PLACING, "Yes", "No")
        heavy = [self.encode(" " + word)[0] for word in words]
        heavy += [self.encode(digit)[0] for digit in "0123456789"]
        self.token_weights[heavy] = _HEAVY

    @property
    def vocabulary(self) -> list[str]:
        """All tokens in the order of their ids."""
        known: dict[str, int] = self._tokenizer.get_vocab()
        return sorted(known, key=lambda token: known[token])

    def encode(self, text: str) -> list[int]:
        """Token ids of a piece of text, without special tokens."""
        if len(text) > _LONG:  # made-up tools don't come twice
            long: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
            return long
        if text not in self._known:
            if len(self._known) > 200_000:  # typed questions don't end
                self._known.clear()
            ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
            self._known[text] = ids
        return self._known[text]

    def row_of(self, talks: Sequence[Talk]) -> Row:
        """A row of conversations."""
        row = Row()
        for segment, talk in enumerate(talks, 1):
            start = 0 if talk.apart else self.prefix
            for index, turn in enumerate(talk.turns):
                opening, before = self._opening(talk, index)
                prompt = [*opening, *self.encode(f"{before}{turn.question} ASSISTANT:")]
                answer = [*self.encode(" " + turn.answer), self._eos]
                size = len(prompt) + len(answer)
                row.ids += prompt + answer
                row.labels += [-100] * len(prompt) + answer
                row.same += [0] * len(prompt) + [talk.same_as] + [0] * (len(answer) - 1)
                row.positions += range(start, start + size)
                row.segments += [-segment if talk.apart else segment] * size
                start += size
        return row

    def _opening(self, talk: Talk, index: int) -> tuple[list[int], str]:
        """Ids and text before a question; the row's own picture lies in the prefix already."""
        if talk.apart:
            said = "USER: " if index or not talk.system else f"{talk.system} USER: "
            begun = [] if index else [self._bos]
            if talk.pictures and index == talk.shown_at:
                return [*begun, *self.encode(said), *[self.image] * IMAGE_TOKENS], "\n"
            return begun, said
        if index:
            return [], "USER: "
        if talk.pictures == 1:
            return [], "\n"
        return [*self.encode("\nthe second: "), *[self.image] * IMAGE_TOKENS], "\n"

    def tensors(self, rows: list[Row]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, labels (batch, text) and positions (batch, all), padded at the end."""
        longest = max(len(row.ids) for row in rows)
        ids = torch.tensor([_padded(row.ids, longest, 0) for row in rows])
        labels = torch.tensor([_padded(row.labels, longest, -100) for row in rows])
        after = torch.tensor([_padded(row.positions, longest, 0) for row in rows])
        shared = torch.arange(self.prefix).expand(len(rows), -1)
        return ids, labels, torch.cat([shared, after], 1)

    def same(self, rows: list[Row]) -> Tensor:
        """Numbers of what ought to say the same, unique in the batch; (batch, text)."""
        longest = max(len(row.ids) for row in rows)
        numbers = torch.tensor([_padded(row.same, longest, 0) for row in rows])
        offsets = torch.arange(len(rows))[:, None] * 1000
        return torch.where(numbers > 0, numbers + offsets, numbers)


def _padded(values: list[int], size: int, fill: int) -> list[int]:
    return values + [fill] * (size - len(values))
