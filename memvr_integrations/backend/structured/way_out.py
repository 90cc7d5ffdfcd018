"""How an answer under a grammar can end soon: a search, one quoted or bracketed part at a time."""

import functools
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from memvr_integrations.backend.structured.partial_answer import PartialAnswer
from memvr_integrations.backend.structured.shared_work import Wanted

LONGEST_END = 4096  # tokens; a grammar whose answers can't end sooner is taken for endless
# Tokens, and rounds with so many: a long way is only sought where no short one was found.
_PLAN = ((32, 6), (128, 6), (512, 2), (LONGEST_END, 1))
_EFFORT = 1000, 4  # steps of a round in vain, and more for each token that a way may have
_LITTLE = 300  # the same, where a way out is known already
_PART = 64  # tokens
_WAYS_BACK = 64  # parts; what was decided before them stays
_CHANCES = 4  # random ways for each part
_PATIENCE = 256  # tokens of a part that chance may choose
_TRIES = 16  # tokens, where the first choice would repeat something
_STRING_LIKE = 48  # where more tokens than this may follow, they are a string's content

_Choose = Callable[[PartialAnswer, np.ndarray, int], int]


def _always() -> bool:
    return True


def shortest_end(
    answer: PartialAnswer, *, most: int = LONGEST_END, wanted: Wanted = _always
) -> list[int] | None:
    """A short way of at most `most` tokens to a complete answer, its end token left out.

    Not always the very shortest: brackets and quotes are closed as soon as they may be. Where that
    leads nowhere, the patterns' own characters are tried, and then chance; each part of the answer
    (a string, a value) goes the first way that works for it. None says that nothing was found, or
    that nobody `wanted` it any more.
    """
    plan = [(min(limit, most), seed) for limit, rounds in _PLAN for seed in range(rounds)]
    found = (
        _Search(limit, seed, _EFFORT[0] + _EFFORT[1] * max(0, limit), wanted).run(answer)
        for limit, seed in dict.fromkeys(plan)
    )
    return next((way for way in found if way is not None), None)


def changed_end(
    before: PartialAnswer, after: PartialAnswer, end: Sequence[int], *, most: int
) -> list[int] | None:
    """A way to an end for an answer that just left its way `end`, sought with little effort.

    Most of the time only the part that is being written ends differently.
    """
    if len(end) <= most and after.ends_by(end):
        return list(end)
    rest = _after_part(before, end)
    way = _Search(min(most - len(rest), _PART), 0, _LITTLE).run_to(after, rest)
    if way is not None:
        return way
    limits = dict.fromkeys(min(limit, most) for limit, _ in _PLAN)
    found = (_Search(limit, 0, _LITTLE).run(after) for limit in limits)
    return next((way for way in found if way is not None), None)


def _after_part(answer: PartialAnswer, end: Sequence[int]) -> list[int]:
    """What of a way to the end comes after the part that is being written."""
    reader = answer.copy()
    for at, token in enumerate(end, start=1):
        reader.take([token])
        if reader.parts > answer.parts:
            return list(end[at:])
    return []


class _Part:
    """Where a part of the answer begins, and the ways on from there that were not tried."""

    def __init__(
        self, answer: PartialAnswer, path: tuple[int, ...], ways: Iterator[_Choose]
    ) -> None:
        self.answer, self.path, self.ways = answer, path, ways
        self.tried: set[tuple[int, ...]] = set()


class _Search:
    """One round: depth first, with a bounded number of steps."""

    def __init__(self, most: int, seed: int, steps: int, wanted: Wanted = _always) -> None:
        self._most, self._seed, self._steps, self._farthest = most, seed, steps, 0
        self._wanted = wanted

    def run(self, answer: PartialAnswer) -> list[int] | None:
        if answer.complete:
            return [] if self._most >= 0 else None
        parts = deque([_Part(answer, (), self._ways(()))], maxlen=_WAYS_BACK)
        while parts and self._steps > 0 and self._wanted():
            part = parts[-1]
            choose = next(part.ways, None)
            if choose is None:
                parts.pop()
                continue
            begun = part.answer.copy()
            found = self._walk(begun, choose, self._most - len(part.path))
            if found is None or found in part.tried:
                continue
            part.tried.add(found)
            path = part.path + found
            if begun.complete:
                return list(path)
            parts.append(_Part(begun, path, self._ways(path)))
            if len(path) > self._farthest:  # a long way is no waste
                self._steps += len(path) - self._farthest
                self._farthest = len(path)
        return None

    def run_to(self, answer: PartialAnswer, rest: Sequence[int]) -> list[int] | None:
        """End the part that is being written so that the way `rest` leads on."""
        for choose in self._ways(()):
            begun = answer.copy()
            found = self._walk(begun, choose, self._most)
            if found is not None and begun.ends_by(rest):
                return [*found, *rest]
        return None

    def _ways(self, path: tuple[int, ...]) -> Iterator[_Choose]:
        # Other seeds for each part, or chance would choose in vain what it chose before.
        seeds = [hash((self._seed, path, chance)) for chance in range(_CHANCES)]
        if self._seed:
            yield _AtRandom(self._seed).choose
        yield functools.partial(_closing, turn=len(path))
        yield _Speller(0, apart=0).choose
        yield _always_closing
        for seed in seeds:
            yield _Speller(seed, apart=0.6).choose
            yield _AtRandom(seed).choose

    def _walk(self, answer: PartialAnswer, choose: _Choose, most: int) -> tuple[int, ...] | None:
        """Take the answer to the end of its part, in at most `most` tokens."""
        path, parts = list[int](), answer.parts
        while len(path) <= most:
            self._steps -= 1
            tokens = answer.forced()
            if not tokens:
                token = _next(answer, choose, len(path))
                tokens = [] if token is None else [token]
            if not tokens or not answer.take(tokens):
                return None
            path += tokens
            if answer.parts > parts or answer.complete:
                return tuple(path) if len(path) <= most else None
        return None


def _next(answer: PartialAnswer, choose: _Choose, at: int) -> int | None:
    """The token to go on with: not the chosen one where that would repeat something."""
    if not (mask := answer.mask()).any():
        return None
    chosen = choose(answer, mask, at)
    if answer.may_take([chosen]):
        return chosen
    others = np.roll(np.nonzero(mask)[0], -at)[:_TRIES].tolist()
    return next((token for token in others if answer.may_take([token])), None)


def _closing_tokens(answer: PartialAnswer, mask: np.ndarray, turn: int) -> list[int]:
    """What may end something now, the most useful first."""
    known = answer.vocabulary
    # Another digit at each step: 0.000... would never come to be above 0.
    turn %= 10
    digits = [*known.digits[turn:], *known.digits[:turn]]
    return [token for token in (*known.closers, *digits, *known.openers) if mask[token]]


def _closing(answer: PartialAnswer, mask: np.ndarray, at: int, *, turn: int = 0) -> int:
    closing, choices = _closing_tokens(answer, mask, at + turn), np.nonzero(mask)[0]
    in_string = len(choices) > _STRING_LIKE
    if closing and (not in_string or closing[0] == answer.vocabulary.closers[0]):
        return closing[0]
    # A string that is still too short is long soonest by long tokens.
    return int(choices[answer.vocabulary.lengths[choices].argmax()])


def _always_closing(answer: PartialAnswer, mask: np.ndarray, at: int) -> int:
    closing = _closing_tokens(answer, mask, at)
    return closing[0] if closing else int(mask.argmax())


class _Speller:
    """Writes the signs of the patterns in their order, and sometimes a letter between two."""

    def __init__(self, seed: int, apart: float) -> None:
        self._rng, self._apart, self._written = random.Random(seed), apart, 0

    def choose(self, answer: PartialAnswer, mask: np.ndarray, at: int) -> int:
        """The closing quote where it may be, else the next sign that fits."""
        closing = _closing_tokens(answer, mask, at)
        if closing and closing[0] == answer.vocabulary.closers[0]:
            return closing[0]
        letters = [token for token in answer.vocabulary.letters if mask[token]]
        if letters and self._rng.random() < self._apart:
            return self._rng.choice(letters)
        signs = answer.spelling
        for step in range(len(signs)):
            place = (self._written + step) % len(signs)
            if mask[signs[place]]:
                self._written = place + 1
                return signs[place]
        return (closing or [int(mask.argmax())])[0]


class _AtRandom:
    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def choose(self, answer: PartialAnswer, mask: np.ndarray, at: int) -> int:
        """A closing token as often as any other."""
        if at >= _PATIENCE:
            return _closing(answer, mask, at)
        few = _closing_tokens(answer, mask, at)[:2]
        if few and self._rng.random() < 0.5:
            return self._rng.choice(few)
        choices = np.nonzero(mask)[0]
        return int(choices[self._rng.randrange(len(choices))])
