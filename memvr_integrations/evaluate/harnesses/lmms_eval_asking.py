"""Answers what lmms-eval asks, in batches; it knows requests, and imports nothing of lmms-eval."""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby

from tqdm import tqdm

from memvr_integrations.checks import check_integer
from memvr_integrations.errors import MemVRError, MemVRWarning, RequestError
from memvr_integrations.evaluate.harnesses.harness import HarnessOptions
from memvr_integrations.evaluate.running.asking import Strategy
from memvr_integrations.types import Completion, Image, Message, Request, SamplingParams
from memvr_integrations.types.engine import Engine

_MOST_ROUNDS = 100
_SAMPLING = ("temperature", "top_p", "top_k", "min_p")
_READ = {*_SAMPLING, "max_new_tokens", "until", "do_sample", "num_beams", "repetition_penalty"}
# What lmms-eval itself adds where a task names no `until`. It ends the examples of text-only
# prompts; an answer may well have paragraphs.
_ADDED_STOP = ["\n\n"]


@dataclass(frozen=True, kw_only=True)
class LmmsEvalOptions(HarnessOptions):
    """What `--model_args` may hold; `batch_size` is `--batch_size`."""

    batch_size: int = 1

    def __post_init__(self) -> None:
        """Check the batch's size as well."""
        super().__post_init__()
        check_integer("batch_size", self.batch_size, least=1)


@dataclass(frozen=True, kw_only=True)
class Round:
    """How a task goes on: the next messages, or None at its end; what was said, and its notes."""

    messages: tuple[Message, ...] | None
    said: list[str]
    notes: object


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request. Its messages are made in its turn: all pictures at once may not fit in memory.

    `document` is the task, the split and the number of the document in it; `context` sets apart
    what is asked about one document. `following` is for tasks in rounds: it gets the number of
    the next one, what was said so far, and the notes of the last one.
    """

    document: tuple[str, str, int]
    context: str
    messages: Callable[[], tuple[Message, ...]]
    generation: Mapping[str, object] = field(default_factory=dict)
    following: Callable[[int, list[str], object], Round] | None = None


@dataclass(kw_only=True)
class Spent:
    """What all answers of a list took."""

    seconds: float = 0.0
    tokens: int = 0
    retraced: int = 0


class Asking:
    """Asks a model in one way of decoding; answers come in the order of the requests."""

    def __init__(
        self, engine: Engine, way: Strategy, options: LmmsEvalOptions, *, progress: bool = True
    ) -> None:
        self._engine, self._way, self._options = engine, way, options
        self._silent = not progress
        self.spent = Spent()

    def generate(self, asked: Sequence[Asked]) -> list[Completion]:
        """One answer a request.

        Raises:
            MemVRError: A request can't be answered; a note says among which ones.
        """
        self.spent = Spent()
        samplings = self._samplings(asked)
        size = self._options.batch_size
        done: list[Completion] = []
        with tqdm(total=len(asked), desc="Answering", disable=self._silent) as bar:
            for start in range(0, len(asked), size):
                batch = range(start, min(start + size, len(asked)))
                with _noting(asked[start : start + size]):
                    done += self._answered(
                        [self._request(asked, i, asked[i].messages(), samplings[i]) for i in batch]
                    )
                bar.update(len(batch))
        return done

    def rounds(self, asked: Sequence[Asked]) -> list[list[str]]:
        """What is said in all rounds of each request; the task goes on as its `following` says.

        Raises:
            MemVRError: As `generate` does, or a task comes to no end.
        """
        self.spent = Spent()
        samplings = self._samplings(asked)
        said: list[list[str]] = []
        for index in range(len(asked)):
            with _noting([asked[index]]):
                said.append(self._round_by_round(asked, index, samplings[index]))
        return said

    def score(
        self, asked: Sequence[Asked], continuations: Sequence[str]
    ) -> list[tuple[float, bool]]:
        """How unlikely each continuation is, and whether it is what greedy decoding says.

        The first is the negative logarithm of its probability: lmms-eval takes the choice with
        the lowest. A blank before it counts for nothing, as an answer may begin with or without.

        Raises:
            MemVRError: As `generate` does.
        """
        scored: list[tuple[float, bool]] = []
        alike = groupby(
            range(len(asked)), key=lambda index: (asked[index].document, asked[index].context)
        )
        with tqdm(total=len(asked), desc="Scoring", disable=self._silent) as bar:
            for _, group in alike:
                indices = list(group)
                answers = [continuations[index].strip() for index in indices]
                with _noting([asked[indices[0]]]):
                    scored += self._scored(asked, indices[0], answers)
                bar.update(len(indices))
        return scored

    def _scored(
        self, asked: Sequence[Asked], index: int, answers: Sequence[str]
    ) -> list[tuple[float, bool]]:
        ways = [[self._engine.tokenize(start + one) for start in ("", " ")] for one in answers]
        longest = max(len(ids) for spelt in ways for ids in spelt)
        sampling = SamplingParams(max_tokens=max(longest, 1))
        request = self._request(asked, index, asked[index].messages(), sampling)
        # Plain likelihoods: what begins a longer choice counts for both of them.
        likely = self._engine.score(request, answers, exclusive=False)
        [greedy] = self._engine.generate([request])
        said = [token.id for token in greedy.tokens]
        taken = [any(said[: len(ids)] == ids for ids in spelt) for spelt in ways]
        return [(-log, first) for log, first in zip(likely, taken, strict=True)]

    def _round_by_round(
        self, asked: Sequence[Asked], index: int, sampling: SamplingParams
    ) -> list[str]:
        one = asked[index]
        turn = Round(messages=one.messages(), said=[], notes=None)
        for number in range(1, _MOST_ROUNDS + 1):
            assert turn.messages is not None
            request = self._request(asked, index, turn.messages, sampling)
            said = [*turn.said, self._answered([request])[0].text]
            if one.following is None:
                return said
            turn = one.following(number, said, turn.notes)
            if turn.messages is None:
                return turn.said
        raise RequestError(f"The task asks for more than {_MOST_ROUNDS} rounds; it has no end.")

    def _answered(self, requests: Sequence[Request]) -> list[Completion]:
        started = time.perf_counter()
        done = self._engine.generate(requests)
        self.spent.seconds += time.perf_counter() - started
        self.spent.tokens += sum(one.usage.completion_tokens for one in done)
        self.spent.retraced += sum(one.retraced for one in done)
        return done

    def _request(
        self,
        asked: Sequence[Asked],
        index: int,
        messages: Sequence[Message],
        sampling: SamplingParams,
    ) -> Request:
        way = self._way
        if way.shuffled and not Request(messages=tuple(messages)).images:
            way = replace(way, memvr=None)  # there is no image, so nothing can be swapped
        others = _other_images(asked, index) if way.shuffled else ()
        return way.asked(messages, sampling, others)

    def _samplings(self, asked: Sequence[Asked]) -> list[SamplingParams]:
        """All are read before the first is asked; a document's repetitions get their own seeds."""
        seen: Counter[tuple[object, str]] = Counter()
        samplings = []
        for one in asked:
            seed = self._options.seed + seen[one.document, one.context]
            seen[one.document, one.context] += 1
            with _noting([one]):
                samplings.append(read_sampling(one.generation, self._options.max_new_tokens, seed))
        return samplings


def read_sampling(given: Mapping[str, object], longest: int, seed: int) -> SamplingParams:
    """The `generation_kwargs` of a task; `longest` where it sets no `max_new_tokens`.

    As in transformers, `do_sample=False` is greedy whatever else is there. Without it a
    temperature above 0 samples.

    Raises:
        RequestError: Beams are asked for, or texts to end at that are none.
        ConfigError: A value is outside its limits.
    """
    if given.get("num_beams") not in (None, 1):
        raise RequestError(
            f"num_beams={given['num_beams']!r}: beams are not searched here; use "
            "--gen_kwargs num_beams=1."
        )
    for name in given.keys() - _READ:
        warnings.warn(
            f"generation_kwargs has {name}={given[name]!r}, which is nothing that this model "
            "knows; the answers are as they would be without it.",
            MemVRWarning,
            stacklevel=2,
        )
    sampled = bool(given.get("do_sample", given.get("temperature")))
    kept = [*(_SAMPLING if sampled else ()), "repetition_penalty"]
    values = {name: given[name] for name in kept if given.get(name) is not None}
    if sampled:
        values.setdefault("temperature", 1.0)
    limit = given.get("max_new_tokens")
    return SamplingParams(
        max_tokens=longest if limit is None else limit,  # type: ignore[arg-type]
        stop=_stops(given.get("until")),
        seed=seed,
        **values,  # type: ignore[arg-type]
    )


def _stops(until: object) -> tuple[str, ...]:
    if until is None or until == _ADDED_STOP:
        return ()
    if isinstance(until, str):
        return (until,)
    if not isinstance(until, Sequence):
        raise RequestError(f"until={until!r} must be a text or a list of texts.")
    return tuple(until)


def _other_images(asked: Sequence[Asked], index: int) -> tuple[Image, ...]:
    """The pictures of the next document that has any: the same ones in every run of a list."""
    following = (asked[(index + step) % len(asked)] for step in range(1, len(asked)))
    for one in following:
        if one.document != asked[index].document:
            shown = Request(messages=one.messages()).images
            if shown:
                return shown
    raise RequestError(
        "decoding='shuffled' retraces the images of another document, and no other one has any "
        "here; ask at least two, or another task."
    )


@contextmanager
def _noting(asked: Sequence[Asked]) -> Iterator[None]:
    """Note on an error what was asked; an error of a batch may be any of its requests."""
    try:
        yield
    except MemVRError as error:
        documents = "; ".join(
            f"{task}, {split}, {number}" for task, split, number in (one.document for one in asked)
        )
        error.add_note(f"Asked by lmms-eval (task, split, document): {documents}")
        raise
