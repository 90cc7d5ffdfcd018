"""A part of an answer under a grammar, and what may follow it."""

import json
import re
from collections.abc import Sequence
from typing import Self

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from memvr_integrations.backend.structured.repeats import Repeats

# A comma before digits: after "0." it ends the number, where digits would go on for ever.
_CLOSERS = ('"', "}", "]", "</", ">", "n", "t", "f", ",")
_DIGITS = "0123456789"
_OPENERS = ("[", "{", ":", " ")
_QUOTE, _ESCAPE = b'"\\'
_PART_ENDS = b'"]},'
# What in a pattern stands for other characters than itself.
_PATTERN_SIGNS = re.compile(r"\[[^]]*\]|\\[a-zA-Z]|\{[0-9,]*\}|[\\^$*+?|(){}\[\]]")


class Vocabulary:
    """A model's tokens as bytes."""

    def __init__(self, tokenizer: LLTokenizer, size: int) -> None:
        self.tokenizer, self.size = tokenizer, size
        self.ends: list[int] = [token for token in tokenizer.eos_tokens if token < size]
        self.texts = [tokenizer.decode_bytes([token]) for token in range(size)]
        self.lengths = np.array([len(text) for text in self.texts])
        self.calls = [i for i, text in enumerate(self.texts) if text.strip().startswith(b"<")]
        self._by_text: dict[bytes, int] = {}
        for token, text in enumerate(self.texts):
            self._by_text.setdefault(text, token)
        self.closers, self.digits, self.openers = map(self.find, (_CLOSERS, _DIGITS, _OPENERS))
        self.letters = self.find("aA")

    def find(self, texts: Sequence[str]) -> list[int]:
        """The tokens of these texts, without those that need several."""
        tokens = (self._by_text.get(text.encode()) for text in texts)
        return [token for token in tokens if token is not None]

    def spells(self, text: str) -> bool:
        """Whether there are tokens for all of a text, written as JSON."""
        written = json.dumps(text, ensure_ascii=False).encode()
        longest = int(self.lengths.max())
        reached = {0}
        for start in range(len(written)):
            if start in reached:
                ends = range(start + 1, min(start + longest, len(written)) + 1)
                reached.update(end for end in ends if written[start:end] in self._by_text)
        return len(written) in reached

    def spelling(self, patterns: Sequence[str]) -> list[int]:
        """The characters that stand for themselves in some patterns, in their order, as JSON."""
        signs = "".join(_PATTERN_SIGNS.sub("", pattern) for pattern in patterns)
        return self.find(list(signs.replace('"', '\\"')))


class PartialAnswer:
    """What was written so far."""

    def __init__(
        self,
        matcher: LLMatcher,
        vocabulary: Vocabulary,
        repeats: Repeats | None,
        spelling: Sequence[int],
    ) -> None:
        """Begin with nothing; `parts` counts the strings and values that were ended."""
        self._matcher, self.vocabulary = matcher, vocabulary
        self._repeats, self.spelling = repeats, spelling
        self._quoted = self._escaped = False
        self.parts = 0

    @property
    def complete(self) -> bool:
        """Whether an answer may end here."""
        return self._matcher.is_accepting()

    def copy(self) -> Self:
        """One that goes on by itself."""
        repeats = self._repeats.copy() if self._repeats else None
        twin = type(self)(self._matcher.deep_copy(), self.vocabulary, repeats, self.spelling)
        twin.parts, twin._quoted, twin._escaped = self.parts, self._quoted, self._escaped
        return twin

    def take(self, tokens: Sequence[int]) -> bool:
        """Go on with some tokens; whether they fit."""
        if not self._matcher.consume_tokens(list(tokens)):
            return False
        text = b"".join([self.vocabulary.texts[token] for token in tokens])
        for byte in text:
            if not self._escaped and byte == _QUOTE:
                self._quoted = not self._quoted
            self._escaped = self._quoted and not self._escaped and byte == _ESCAPE
            self.parts += byte in _PART_ENDS and not self._quoted
        return self._repeats is None or self._repeats.read(text)

    def mask(self) -> np.ndarray:
        """The tokens that may come next, (vocabulary,) bool."""
        # A tokenizer may know more tokens than the model has rows for.
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        size = self.vocabulary.size
        return np.unpackbits(bits, count=size, bitorder="little").astype(bool)

    def forced(self) -> list[int]:
        """The tokens that have to come next, where there is no choice."""
        return self._matcher.compute_ff_tokens()

    def may_take(self, tokens: Sequence[int]) -> bool:
        """Whether some allowed tokens would fit, and repeat nothing."""
        return self._repeats is None or self.copy().take(tokens)

    def ends_by(self, tokens: Sequence[int]) -> bool:
        """Whether these tokens make a complete answer."""
        trial = self.copy()
        return trial.take(tokens) and trial.complete
