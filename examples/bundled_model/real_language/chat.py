"""Packed rows in SmolLM2's chat format: `Packer`, with other words around what is said."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerFast

from bundled_model.conversations.asker import Talk
from bundled_model.training.model import IMAGE_TOKENS
from bundled_model.training.packing import HEAVY, HEAVY_WORDS, Packer, Row
from memvr_integrations.bundled.world import CLASSES

BEGIN, END = "<|im_start|>", "<|im_end|>"


class ChatPacker(Packer):
    """Packs an image and conversations about it as messages of user and assistant."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        [self.image] = self.encode("<image>")
        [self.end] = self.encode(END)
        self.before_image = self.encode(f"{BEGIN}user\n")
        self.prefix = len(self.before_image) + IMAGE_TOKENS
        names = [self.encode(" " + name)[0] for name in CLASSES]
        self.class_tokens = torch.tensor([self.encode("\n")[0], *names])
        self.token_weights = torch.ones(len(tokenizer))
        heavy = [self.encode(" " + word)[0] for word in HEAVY_WORDS]
        heavy += [self.encode(word)[0] for word in ("Yes", "No", *"0123456789")]
        self.token_weights[heavy] = HEAVY

    def row_of(self, talks: Sequence[Talk]) -> Row:
        """A row of conversations; those of pictures=0 see themselves alone."""
        row = Row()
        for segment, talk in enumerate(talks, 1):
            start = 0 if talk.apart else self.prefix
            for index, turn in enumerate(talk.turns):
                prompt = [*self._before(talk, index), *self.encode(_asked(turn.question))]
                answer = [*self.encode(turn.answer), self.end]
                size = len(prompt) + len(answer)
                row.ids += prompt + answer
                row.labels += [-100] * len(prompt) + answer
                row.same += [0] * len(prompt) + [talk.same_as] + [0] * (len(answer) - 1)
                row.positions += range(start, start + size)
                row.segments += [-segment if talk.apart else segment] * size
                start += size
        return row

    def _before(self, talk: Talk, index: int) -> list[int]:
        """What stands before a question; the row's own picture lies in the prefix already."""
        if index:
            return self.encode(f"\n{BEGIN}user\n")
        if talk.apart:
            system = f"{BEGIN}system\n{talk.system}{END}\n" if talk.system else ""
            return self.encode(f"{system}{BEGIN}user\n")
        if talk.pictures == 1:
            return self.encode("\n")
        return [*self.encode("\n"), *[self.image] * IMAGE_TOKENS, *self.encode("\n")]

    def plain(self, question: str, answer: str) -> tuple[list[int], int]:
        """Ids of a conversation without a picture, and where its answer begins."""
        prompt = self.encode(f"{BEGIN}user\n{_asked(question)}")
        return [*prompt, *self.encode(answer), self.end], len(prompt)


def _asked(question: str) -> str:
    return f"{question}{END}\n{BEGIN}assistant\n"
