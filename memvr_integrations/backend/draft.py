"""A part of an answer under a grammar: what may follow it, and how it can end soon."""

import random
import re
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from memvr_integrations.backend.repeats import Repeats

LONGEST_END = 4096  # tokens; a grammar whose answers can't end sooner is taken for endless
_WALKS, _WALK = 24, 256
_TRIES = 16  # tokens, where the first choice would repeat something
_STRING_LIKE = 48  # where more tokens than this may follow, they are a string's content
# A comma before digits: behind "0." it ends the number, where digits would go on for ever.
_CLOSERS = ('"', "}", "]", "</", ">", "n", "t", "f", ",")
_DIGITS = "0123456789"
_OPENERS = ("[", "{", ":", " ")
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

    def spelling(self, patterns: Sequence[str]) -> list[int]:
        """The characters that stand for themselves in some patterns, in their order."""
        return self.find([char for one in patterns for char in _PATTERN_SIGNS.sub("", one)])


class Draft:
    """What was written so far."""

    def __init__(
        self,
        matcher: LLMatcher,
        vocabulary: Vocabulary,
        repeats: Repeats | None,
        spelling: Sequence[int],
    ) -> None:
        self._matcher, self.vocabulary = matcher, vocabulary
        self._repeats, self._spelling = repeats, spelling

    def copy(self) -> Self:
        """One that goes on by itself."""
        repeats = self._repeats.copy() if self._repeats else None
        return type(self)(self._matcher.deep_copy(), self.vocabulary, repeats, self._spelling)

    def take(self, tokens: Sequence[int]) -> bool:
        """Go on with some tokens; whether they fit."""
        if not self._matcher.consume_tokens(list(tokens)):
            return False
        if self._repeats is None:
            return True
        texts = (self.vocabulary.texts[token] for token in tokens)
        return self._repeats.read(b"".join(texts))

    def mask(self) -> np.ndarray:
        """The tokens that may come next, (vocabulary,) bool."""
        # A tokenizer may know more tokens than the model has rows for.
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        size = self.vocabulary.size
        return np.unpackbits(bits, count=size, bitorder="little").astype(bool)

    def shortest_end(self, *, most: int = LONGEST_END) -> list[int] | None:
        """A short way of at most `most` tokens to a complete answer, its end token left out.

        Not always the very shortest: brackets and quotes are closed as soon as they may be. Where
        that leads nowhere, the patterns' own characters are tried, and then chance.
        """
        chance = (_AtRandom(seed).choose for seed in range(_WALKS))
        ways = (Draft._closing, Draft._spelled, Draft._spelled_apart, Draft._always_closing)
        for choose in (*ways, *chance):
            if (way := self._walk(most, choose)) is not None:
                return way
        return None

    def _walk(self, most: int, choose: "_Choose") -> list[int] | None:
        probe, path = self.copy(), list[int]()
        while not probe._matcher.is_accepting():
            if len(path) >= most or probe._matcher.is_error():
                return None
            tokens = probe._matcher.compute_ff_tokens()
            if not tokens:
                token = probe._next(choose, len(path))
                tokens = [] if token is None else [token]
            if not tokens or not probe.take(tokens):
                return None
            path += tokens
        return path if len(path) <= most else None

    def _next(self, choose: "_Choose", at: int) -> int | None:
        """The token to go on with: not the chosen one where that would repeat something."""
        chosen = choose(self, at)
        if self._repeats is None or self.copy().take([chosen]):
            return chosen
        others = np.nonzero(self.mask())[0]
        others = np.roll(others, -at)[:_TRIES].tolist()
        return next((token for token in others if self.copy().take([token])), None)

    def closing_tokens(self, mask: np.ndarray, at: int) -> list[int]:
        """What may end something now, the most useful first."""
        known = self.vocabulary
        # Another digit at each step: 0.000... would never come to be above 0.
        turn = at % 10
        digits = [*known.digits[turn:], *known.digits[:turn]]
        return [token for token in (*known.closers, *digits, *known.openers) if mask[token]]

    def _closing(self, at: int) -> int:
        mask = self.mask()
        closing, choices = self.closing_tokens(mask, at), np.nonzero(mask)[0]
        in_string = len(choices) > _STRING_LIKE
        if closing and (not in_string or closing[0] == self.vocabulary.closers[0]):
            return closing[0]
        # A string that is still too short is long soonest by long tokens.
        return int(choices[self.vocabulary.lengths[choices].argmax()])

    def _always_closing(self, at: int) -> int:
        mask = self.mask()
        closing = self.closing_tokens(mask, at)
        return closing[0] if closing else int(mask.argmax())

    def _spelled(self, at: int) -> int:
        mask = self.mask()
        closing = self.closing_tokens(mask, at)
        if closing and closing[0] == self.vocabulary.closers[0]:
            return closing[0]
        turn = at % max(1, len(self._spelling))
        spelling = [*self._spelling[turn:], *self._spelling[:turn]]
        fitting = [token for token in spelling if mask[token]]
        return (fitting or closing or [int(mask.argmax())])[0]

    def _spelled_apart(self, at: int) -> int:
        """As `_spelled`, with two letters between: an address is more than its signs."""
        mask = self.mask()
        letters = [token for token in self.vocabulary.letters if mask[token]]
        if at % 3 == 0 or not letters or mask[self.vocabulary.closers[0]]:
            return self._spelled(at // 3)
        return letters[at // 3 % len(letters)]


_Choose = Callable[[Draft, int], int]


class _AtRandom:
    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def choose(self, draft: Draft, at: int) -> int:
        """A closing token as often as any other."""
        if at >= _WALK:
            return Draft._closing(draft, at)
        mask = draft.mask()
        few = draft.closing_tokens(mask, at)[:2]
        if few and self._rng.random() < 0.5:
            return self._rng.choice(few)
        choices = np.nonzero(mask)[0]
        return int(choices[self._rng.randrange(len(choices))])
