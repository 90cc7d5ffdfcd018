"""Holds one answer to a grammar while it grows, and sees to it that it ends in time.

llguidance says which tokens may come next. What it does not know is the budget: here every chosen
token is tried first, and one after which the answer could not end within `max_tokens` is replaced
by the next token of a short way out.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from llguidance import LLMatcher
from torch import Tensor

from memvr_integrations.backend.structured.grammar import Grammar
from memvr_integrations.backend.structured.partial_answer import PartialAnswer, Vocabulary
from memvr_integrations.backend.structured.repeats import Repeats
from memvr_integrations.backend.structured.shared_work import Left, SharedWork, Wanted
from memvr_integrations.backend.structured.text_tokenizer import text_tokenizer
from memvr_integrations.backend.structured.way_out import LONGEST_END, changed_end, shortest_end
from memvr_integrations.errors import RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Grammars:
    """Compiles grammars for one model's vocabulary."""

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", *, vocabulary: int, ends: frozenset[int]
    ) -> None:
        self._hf, self._size, self._ends = tokenizer, vocabulary, ends
        self._lock = threading.Lock()
        self._known: Vocabulary | None = None
        self._shared = SharedWork(self._compile, 64)
        self._shorter = SharedWork(self._shorter_end, 256)

    def check(
        self, grammar: Grammar, limit: int | None = None, wanted: Wanted = lambda: True
    ) -> None:
        """Compile a grammar ahead of `start`, once for all who ask meanwhile.

        With a `limit` an end within so many tokens is sought as well, which may take seconds.

        Raises:
            RequestError: It can't be enforced, or not within `limit` tokens; the message says why.
            UnsupportedModelError: The model's tokenizer can't be held to any grammar.
            Left: The caller didn't want it any more.
        """
        compiled = self._shared.get(grammar, wanted)
        if limit is not None:
            self._end(compiled, grammar, limit, wanted)

    def start(self, grammar: Grammar, limit: int) -> "Constraint":
        """A new answer of at most `limit` tokens.

        Raises:
            RequestError: No valid answer so short was found.
        """
        compiled = self._shared.get(grammar, lambda: True)
        return Constraint(compiled, self._end(compiled, grammar, limit, lambda: True), limit)

    def _end(
        self, compiled: "_Compiled", grammar: Grammar, limit: int, wanted: Wanted
    ) -> tuple[int, ...]:
        """A way to the end that is short enough."""
        if len(compiled.end) < limit or compiled.call:
            return compiled.end
        return self._shorter.get((grammar, limit), wanted)

    def _shorter_end(self, key: tuple[Grammar, int], wanted: Wanted) -> tuple[int, ...]:
        grammar, limit = key
        compiled = self._shared.get(grammar, wanted)
        end = shortest_end(compiled.answer, most=limit - 1, wanted=wanted)
        if not wanted():
            raise Left
        if end is None:
            raise RequestError(
                f"No answer that fits the schema was found within the {limit} tokens that are left "
                f"(max_tokens and the model's context), but one of {len(compiled.end) + 1} was; "
                "raise max_tokens or ask for less."
            )
        return tuple(end)

    def _compile(self, grammar: Grammar, wanted: Wanted) -> "_Compiled":
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
        repeats = Repeats(grammar.unique) if grammar.unique or grammar.free_keys else None
        answer = PartialAnswer(matcher, vocabulary, repeats, vocabulary.spelling(grammar.spelled))
        end = shortest_end(answer, wanted=wanted)
        call = _shortest_call(answer, wanted) if grammar.free_text else ()
        if not wanted():
            raise Left
        if end is None or call is None:
            unknown = [text for text in grammar.constants if not vocabulary.spells(text)]
            if unknown:
                raise RequestError(
                    f"The text {min(unknown)!r} of this schema can't be written: the model's "
                    "tokenizer has no tokens for some of its characters. Give another text, and "
                    "turn it into this one after the answer."
                )
            raise RequestError(
                f"No answer of at most {LONGEST_END} tokens was found for this schema; it may "
                "have required parts that contain themselves, ask for more different values than "
                "there are, or have patterns that are hard to meet."
            )
        return _Compiled(answer=answer, end=tuple(end), call=tuple(call))

    def _vocabulary(self) -> Vocabulary:
        with self._lock:
            if self._known is None:
                tokenizer = text_tokenizer(self._hf, size=self._size, ends=self._ends)
                self._known = Vocabulary(tokenizer, self._size)
            return self._known


@dataclass(frozen=True, kw_only=True)
class _Compiled:
    """A grammar as an answer not begun, with a way to its end; `call` is the way of a call.

    There is such a way where an answer may be a call or words, which is open at first.
    """

    answer: PartialAnswer
    end: tuple[int, ...]
    call: tuple[int, ...]


def _shortest_call(answer: PartialAnswer, wanted: Wanted) -> list[int] | None:
    begun, begin = answer.copy(), answer.vocabulary.find(["<"])
    if not begin or not begun.take(begin):
        return None
    end = shortest_end(begun, wanted=wanted)
    return None if end is None else begin + end


def _reason(problem: str) -> str:
    """What llguidance has against a grammar, without the grammar's text below it."""
    said = problem.strip().partition("failed to compile JSON schema: ")[2] or problem.strip()
    lines = [line.strip() for line in said.splitlines()]
    if lines[0] == "regex parse error:" and len(lines) > 3:
        fault = next((line for line in lines if line.startswith("error: ")), "")
        return f"the pattern {lines[1]!r}: {fault.removeprefix('error: ')}"
    return lines[0]


class Constraint:
    """One growing answer: what may come next, and how it can still end.

    `structured` says whether the answer is JSON or calls, not text; None while that is open.
    """

    def __init__(self, compiled: _Compiled, end: Sequence[int], limit: int) -> None:
        self._answer, self._end, self._left = compiled.answer.copy(), list(end), limit
        self._call, self._vocabulary = compiled.call, compiled.answer.vocabulary
        self.structured: bool | None = None if self._call else True

    def allowed(self) -> Tensor | None:
        """Which tokens may come next, (vocabulary,) bool on the CPU; None for any."""
        if self.structured is False:
            return None
        mask = self._answer.mask()
        if self.structured is None and len(self._call) >= self._left:
            mask[self._vocabulary.calls] = False  # no call would end in time
        return torch.from_numpy(mask)

    def take(self, token: int, *, replayed: bool = False) -> int:
        """Go on with `token`, or with another one where the answer would not end in time."""
        if self.structured is False:
            return token
        self._left -= 1
        if token in self._vocabulary.ends:
            return token
        if self.structured is None:
            begun = self._vocabulary.texts[token].strip()
            self.structured = begun.startswith(b"<") if begun else None
            if not self.structured:  # words may be cut anywhere
                self._answer.take([token])
                return token
            self._end = list(self._call)
        trial = self._answer.copy()
        end = self._end_after(trial, token) if trial.take([token]) else None
        if end is None and not replayed:
            if not self._end:
                return self._vocabulary.ends[0]
            token, *end = self._end
            trial = self._answer.copy()
            trial.take([token])
        self._answer, self._end = trial, end or []
        return token

    def _end_after(self, trial: PartialAnswer, token: int) -> list[int] | None:
        """A way out for an answer that ends with `token`."""
        if self._end and token == self._end[0]:
            return self._end[1:]
        return changed_end(self._answer, trial, self._end, most=self._left - 1)


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
