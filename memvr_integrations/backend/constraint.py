"""Holds one answer to a grammar while it grows, and sees to it that it ends in time.

llguidance says which tokens may come next. What it does not know is the budget: here every chosen
token is tried first, and one after which the answer could not end within `max_tokens` is replaced
by the next token of a short way out.
"""

import functools
import random
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import llguidance.hf
import numpy as np
import torch
from llguidance import LLMatcher
from torch import Tensor

from memvr_integrations.backend.grammar import Grammar
from memvr_integrations.errors import RequestError, UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LONGEST_END = 4096  # tokens; a grammar whose answers can't end sooner is taken for endless
_WALKS, _WALK = 24, 256
_STRING_LIKE = 48  # where more tokens than this may follow, they are a string's content
# A comma before digits: behind "0." it ends the number, where digits would go on for ever.
_CLOSERS = ('"', "}", "]", "</", ">", "n", "t", "f", ",")
_DIGITS = "0123456789"
_OPENERS = ("[", "{", ":", " ")


class Grammars:
    """Compiles grammars for one model's vocabulary."""

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", *, vocabulary: int, ends: frozenset[int]
    ) -> None:
        self._hf, self._size, self._ends = tokenizer, vocabulary, ends
        self._lock = threading.Lock()
        self._known: _Vocabulary | None = None
        self._compiled = functools.lru_cache(64)(self._compile)

    def check(self, grammar: Grammar) -> None:
        """Compile a grammar ahead of time.

        Raises:
            RequestError: It can't be enforced; the message says which part.
            UnsupportedModelError: The model's tokenizer can't be held to any grammar.
        """
        self._compiled(grammar)

    def start(self, grammar: Grammar, limit: int) -> "Constraint":
        """A new answer of at most `limit` tokens.

        Raises:
            RequestError: The shortest valid answer is longer than that.
        """
        matcher, end = self._compiled(grammar)
        if len(end) + 1 > limit:
            raise RequestError(
                f"The shortest answer that fits the schema has {len(end) + 1} tokens, but only "
                f"{limit} are left (max_tokens and the model's context); raise max_tokens or ask "
                "for less."
            )
        return Constraint(
            matcher.deep_copy(), end, self._vocabulary(), limit, free_text=grammar.free_text
        )

    def _compile(self, grammar: Grammar) -> tuple[LLMatcher, tuple[int, ...]]:
        vocabulary = self._vocabulary()
        text = LLMatcher.grammar_from_lark(grammar.lark)
        failed, problems = LLMatcher.validate_grammar_with_warnings(text, vocabulary.tokenizer)
        matcher = LLMatcher(vocabulary.tokenizer, text, log_level=0)
        if failed or matcher.is_error():
            raise RequestError(
                "This schema can't be enforced while decoding: "
                f"{_reason(problems[0] if problems else matcher.get_error())}. Take that part out "
                "of the schema, and check it after the answer."
            )
        end = vocabulary.shortest_end(matcher)
        if end is None:
            raise RequestError(
                "No answer fits this schema within "
                f"{_LONGEST_END} tokens; look for required parts that contain themselves."
            )
        return matcher, tuple(end)

    def _vocabulary(self) -> "_Vocabulary":
        with self._lock:
            if self._known is None:
                self._known = _Vocabulary(self._tokenizer(), self._size)
            return self._known

    def _tokenizer(self) -> llguidance.LLTokenizer:
        try:
            return llguidance.hf.from_tokenizer(
                self._hf,  # type: ignore[arg-type]  # the base class; checked inside
                n_vocab=self._size,
                eos_token=sorted(self._ends),
            )
        except ValueError as error:
            raise UnsupportedModelError(
                f"This model's tokenizer can't be held to a grammar ({error}); ask without tools "
                "and without response_format, or load a model with a fast tokenizer."
            ) from error


def _reason(problem: str) -> str:
    """What llguidance has against a grammar, without the grammar's text below it."""
    line = problem.strip().splitlines()[0]
    return line.partition("failed to compile JSON schema: ")[2] or line


class Constraint:
    """One growing answer: what may come next, and how it can still end.

    `structured` tells whether the answer is JSON or calls, not text; None while that is open.
    """

    def __init__(
        self,
        matcher: LLMatcher,
        end: Sequence[int],
        vocabulary: "_Vocabulary",
        limit: int,
        *,
        free_text: bool,
    ) -> None:
        self._matcher, self._vocabulary, self._left = matcher, vocabulary, limit
        self._end = list(end)
        self.structured: bool | None = None if free_text else True

    def allowed(self) -> Tensor | None:
        """Which tokens may come next, (vocabulary,) bool on the CPU; None for any."""
        if self.structured is False:
            return None
        return torch.from_numpy(self._vocabulary.mask(self._matcher))

    def take(self, token: int, *, replayed: bool = False) -> int:
        """Go on with `token`, or with another one where the answer would not end in time."""
        if self.structured is False:
            return token
        self._left -= 1
        if token in self._vocabulary.ends:
            return token
        trial = self._matcher.deep_copy()
        trial.consume_token(token)
        if self._end and token == self._end[0]:
            end: list[int] | None = self._end[1:]
        else:
            end = self._vocabulary.shortest_end(trial, most=self._left)
        if not replayed and (end is None or len(end) + 1 > self._left):
            if not self._end:
                return self._vocabulary.ends[0]
            token, *end = self._end
            trial = self._matcher.deep_copy()
            trial.consume_token(token)
        self._matcher, self._end = trial, end or []
        self._decide(token)
        return token

    def _decide(self, token: int) -> None:
        begun = self._vocabulary.tokenizer.decode_bytes([token]).strip()
        if self.structured is None and begun:
            self.structured = begun.startswith(b"<")


class Dictation:
    """An answer that is fixed beforehand, so that its probability can be read off.

    It has the shape of a `Constraint`.
    """

    structured = False

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = iter(tokens)

    def allowed(self) -> Tensor | None:
        """Any token: the choice is replaced anyway, and probabilities stay the model's own."""
        return None

    def take(self, token: int, *, replayed: bool = False) -> int:
        """The next token of the answer."""
        return next(self._tokens, token)


class _Vocabulary:
    """A model's tokens as bytes."""

    def __init__(self, tokenizer: llguidance.LLTokenizer, size: int) -> None:
        self.tokenizer, self._size = tokenizer, size
        self.ends: list[int] = list(tokenizer.eos_tokens)
        texts = [tokenizer.decode_bytes([token]) for token in range(size)]
        self._length = np.array([len(text) for text in texts])
        by_text: dict[bytes, int] = {}
        for token, text in enumerate(texts):
            by_text.setdefault(text, token)
        self._closers, self._digits, self._openers = (
            [by_text[char.encode()] for char in chars if char.encode() in by_text]
            for chars in (_CLOSERS, _DIGITS, _OPENERS)
        )

    def mask(self, matcher: LLMatcher) -> np.ndarray:
        """The tokens that may come next, (vocabulary,) bool."""
        bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(bits, count=self._size, bitorder="little").astype(bool)

    def shortest_end(self, matcher: LLMatcher, *, most: int = _LONGEST_END) -> list[int] | None:
        """A short way from here to a complete answer, its end token left out.

        Not always the very shortest: brackets and quotes are closed as soon as they may be, and
        where that leads nowhere some walks at random are tried.
        """
        straight = self._walk(matcher, most, None)
        if straight is not None:
            return straight
        walks = [self._walk(matcher, min(most, _WALK), random.Random(i)) for i in range(_WALKS)]
        return min((walk for walk in walks if walk is not None), key=len, default=None)

    def _walk(self, matcher: LLMatcher, most: int, rng: random.Random | None) -> list[int] | None:
        probe, path = matcher.deep_copy(), list[int]()
        while not probe.is_accepting():
            if len(path) >= most or probe.is_error():
                return None
            forced = probe.compute_ff_tokens() or [self._next(probe, rng, len(path))]
            if not probe.consume_tokens(forced):
                return None
            path += forced
        return path

    def _next(self, matcher: LLMatcher, rng: random.Random | None, at: int) -> int:
        mask = self.mask(matcher)
        # Another digit at each step: 0.000... would never come to be above 0.
        turn = at % 10
        digits = [*self._digits[turn:], *self._digits[:turn]]
        closing = [token for token in (*self._closers, *digits, *self._openers) if mask[token]]
        choices = np.nonzero(mask)[0]
        if rng is not None:
            few = closing[:2] or choices.tolist()
            return int(rng.choice(few if rng.random() < 0.5 else choices.tolist()))
        if closing and (len(choices) <= _STRING_LIKE or closing[0] == self._closers[0]):
            return closing[0]
        return int(choices[self._length[choices].argmax()])
