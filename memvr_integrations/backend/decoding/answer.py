"""From token ids to the text of an answer, piece by piece: detokenising and stop strings."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memvr_integrations.types import TokenRecord, TopToken

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class AnswerText:
    """The text of one growing answer.

    A piece is held back while it could still turn out to be part of a character or of a stop
    string, so that what was released never has to be taken back. A stop string that is complete
    within the first `whole_until` tokens cuts nothing.
    """

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", stop: tuple[str, ...], *, whole_until: int = 0
    ) -> None:
        self._tokenizer, self._stop, self._whole_until = tokenizer, stop, whole_until
        self._ids: list[int] = []
        self._known = 0  # how many of them have said their text
        self._context = 0  # the tokens from here to `_known` say how the next one is spaced
        self._uncut = 0  # how much of the text no stop string cuts
        self._released = 0  # how much of the visible text has been given out
        self._held: list[TokenRecord] = []
        self.text = ""
        self.stopped = False

    def add(
        self, token: TokenRecord, *, whole: bool = False, silent: bool = False
    ) -> list[TokenRecord]:
        """Take the next token; returns the tokens whose text is now certain, texts filled in.

        With `whole` the answer is JSON or calls, which stop strings don't cut. A `silent` token
        ends the answer, and says nothing.
        """
        if token.top:
            token = replace(token, top=self._spelt(token.top))
        if silent:
            return [*self.finish(), token]
        if whole:
            self._stop = ()
        self._ids.append(token.id)
        decoded = self._next_piece()
        piece = decoded or ""
        if not self.text:
            piece = piece.lstrip()  # the space between prompt and answer belongs to neither
        self.text += piece
        if len(self._ids) <= self._whole_until:
            self._uncut = len(self.text)
        self._held.append(replace(token, text=piece))
        self._cut_at_stop()
        if decoded is None and not self.stopped:
            return []  # an end token, or a part of a character
        return self._release(0 if self.stopped else self._possible_stop())

    def finish(self) -> list[TokenRecord]:
        """The answer is complete: release what was held, also half a character."""
        if not self.stopped and self._held:
            tail = self._next_piece(last=True) or ""
            self.text += tail
            self._held[-1] = replace(self._held[-1], text=self._held[-1].text + tail)
        return self._release(0)

    def _next_piece(self, *, last: bool = False) -> str | None:
        """What the newest tokens add; None while that is nothing, or a part of a character.

        Not tokenizers' DecodeStream: that one raises when bytes turn out to be no character.
        """
        known = self._decode(self._ids[self._context : self._known])
        text = self._decode(self._ids[self._context :])
        if len(text) <= len(known) or (text.endswith("\ufffd") and not last):
            return None
        self._context, self._known = self._known, len(self._ids)
        return text[len(known) :]

    def _spelt(self, top: Sequence[TopToken]) -> tuple[TopToken, ...]:
        """Tokens with what each would add, if it came next."""
        known = len(self._decode(self._ids[self._context : self._known]))
        texts = (self._decode([*self._ids[self._context :], one.id])[known:] for one in top)
        return tuple(
            replace(one, text=text if self.text else text.lstrip())
            for one, text in zip(top, texts, strict=True)
        )

    def _decode(self, ids: list[int]) -> str:
        return str(
            self._tokenizer.decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def _cut_at_stop(self) -> None:
        starts = ((stop, max(self._uncut + 1 - len(stop), 0)) for stop in self._stop)
        found = [at for stop, start in starts if (at := self.text.find(stop, start)) >= 0]
        if not found:
            return
        self.stopped = True
        self.text = self.text[: min(found)]
        room = len(self.text) - self._released
        for index, token in enumerate(self._held):
            self._held[index] = replace(token, text=token.text[: max(room, 0)])
            room -= len(token.text)

    def _possible_stop(self) -> int:
        """How many characters at the end may be the beginning of a stop string."""
        return max(
            (
                size
                for stop in self._stop
                for size in range(1, min(len(stop), len(self.text) + 1))
                if self.text.endswith(stop[:size])
            ),
            default=0,
        )

    def _release(self, hold: int) -> list[TokenRecord]:
        ready: list[TokenRecord] = []
        certain = len(self.text) - hold
        while self._held and self._released + len(self._held[0].text) <= certain:
            ready.append(self._held.pop(0))
            self._released += len(ready[-1].text)
        return ready
