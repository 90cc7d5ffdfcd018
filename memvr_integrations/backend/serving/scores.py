"""How likely some answers are: every way to write each, and what belongs to longer ones."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from memvr_integrations.errors import ContextLengthError, RequestError
from memvr_integrations.types import Completion, Request, SamplingParams

Tokens: TypeAlias = tuple[int, ...]


class Spellings:
    """The token sequences of some answers; a longer one's beginning is computed with it."""

    def __init__(
        self,
        answers: Sequence[str],
        spell: Callable[[str], Sequence[Tokens]],
        *,
        exclusive: bool = True,
    ) -> None:
        """`spell` gives all token sequences by which an answer may be written.

        Where they are `exclusive`, what goes on to a longer answer is that one's alone.

        Raises:
            RequestError: There is no answer, one has no tokens, or two that exclude each other
                have the same ones.
        """
        texts = [] if isinstance(answers, str) else list(answers)
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise RequestError(f"answers={answers!r} must hold texts, none of them empty.")
        owners: dict[Tokens, str] = {}
        self._ways = [[ids for ids in spell(text) if ids] for text in texts]
        for text, ways in zip(texts, self._ways, strict=True):
            if not ways:
                raise RequestError(f"The answer {text!r} has no tokens; give another text.")
            for ids in ways:
                if exclusive and ids in owners:
                    raise RequestError(
                        f"The answers {owners[ids]!r} and {text!r} are the same tokens to the "
                        "model; give each answer once, and none that differs by a blank alone."
                    )
                owners[ids] = text
        self._exclusive, self._known = exclusive, list(owners)
        self.dictated = [ids for ids in self._known if not any(self._longer(ids))]

    def requests(self, request: Request) -> list[tuple[Request, Tokens]]:
        """For each of the `dictated` sequences what to ask, and itself."""
        plain = replace(request, tools=(), tool_choice="auto", response_format=None)
        return [
            (replace(plain, sampling=SamplingParams(max_tokens=len(ids))), ids)
            for ids in self.dictated
        ]

    def scores(self, done: Sequence[Completion]) -> list[float]:
        """The logarithm of each answer's probability, from the `dictated` sequences' answers.

        Raises:
            ContextLengthError: An answer was cut.
        """
        logs: dict[Tokens, float] = {}
        for ids, completion in zip(self.dictated, done, strict=True):
            if len(completion.tokens) < len(ids):
                raise ContextLengthError(
                    f"An answer of {len(ids)} tokens does not fit after the prompt, only "
                    f"{len(completion.tokens)} do; shorten the answer or the prompt."
                )
            total = 0.0
            for at, token in enumerate(completion.tokens, start=1):
                total += token.logprob
                logs.setdefault(ids[:at], total)
        alone = {ids: logs[ids] for ids in self._known}
        for ids in sorted(self._known, key=len, reverse=True) if self._exclusive else ():
            taken = sum(math.exp(alone[longer] - logs[ids]) for longer in self._longer(ids))
            # Two runs of one beginning differ by rounding, so a little more than all may be taken.
            alone[ids] = logs[ids] + math.log1p(-taken) if taken < 1 else -math.inf
        return [_log_of_sum([alone[ids] for ids in ways]) for ways in self._ways]

    def _longer(self, ids: Tokens) -> list[Tokens]:
        size = len(ids)
        return [one for one in self._known if len(one) > size and one[:size] == ids]


def _log_of_sum(logs: Sequence[float]) -> float:
    most = max(logs)
    if most == -math.inf:
        return most
    return most + math.log(sum(math.exp(log - most) for log in logs))
