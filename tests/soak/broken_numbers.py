"""Models whose numbers are broken: each way in ends in an error that says so, or in an answer."""

import asyncio
import math
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from broken_models import BREAKS, Break
from doors import DOORS, WORDS, Given, Question, questions
from families import FAMILIES
from flatness import eventually
from outcome import Found
from PIL import Image as Pillow
from tiny_family import LAYERS
from waiting import together
from worlds import noise

from memvr_integrations.backend import Backend, Completion, Request, SamplingParams
from memvr_integrations.errors import (
    GenerationError,
    MemVRError,
    MemVRWarning,
    RequestError,
    RequestTimeoutError,
)
from memvr_integrations.grounding import shares
from memvr_integrations.memvr import MemVRConfig, retracing

EAGER = MemVRConfig(
    starting_layer=0, ending_layer=LAYERS - 1, entropy_threshold=0.0, retracing_ratio=0.3
)
TEXT = Request.ask(WORDS, sampling=SamplingParams(max_tokens=8))


def soak(
    *, family: str = "llava", only: str = "", asked: str = "", deadline: float = 120.0
) -> Found:
    """Models whose weights or logits are NaN, infinite or constant, or that end at once or never.

    Each is asked through every way in: whole and streamed, by threads and tasks, sampled, searched,
    with schemas, tools and every strategy, and through LangChain and LlamaIndex. Damaged numbers
    are an error that says so; all else is an answer with a reason for its end. `family` is the kind
    of tiny model; `only` takes the models, `asked` the questions in whose names it is; `deadline`
    is in seconds.
    """
    transformers.utils.logging.disable_progress_bar()
    tally = Tally()
    chosen = [one for one in BREAKS if only in one.name]
    with tempfile.TemporaryDirectory() as folder:
        source = FAMILIES[family].save(family, Path(folder))
        for one in chosen:
            _try(one, source, asked, deadline, tally)
            print(f"{one.name}: {len(tally.wrong)} wrong so far", flush=True)
    figures: dict[str, int | float | str] = {"broken models": len(chosen)}
    return Found(
        figures=figures | dict(sorted(tally.seen.items())) | {"wrong": len(tally.wrong)},
        wrong=tuple(tally.wrong),
        of=family,
    )


@dataclass
class Tally:
    """What was seen so far."""

    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Heard:
    """How a call ended, and what was warned of meanwhile."""

    given: Sequence[Given] = ()
    error: Exception | None = None
    warned: Sequence[str] = ()


def _try(one: Break, source: Path, asked: str, deadline: float, tally: Tally) -> None:
    """Break a model and ask it everything."""
    [picture] = noise(1)
    with Backend.load(source, device="cpu", progress=False) as backend:
        [sound] = backend.generate(TEXT)
        counted = one.apply(backend.model)
        for question in questions(picture, str(source), EAGER):
            for name, door in DOORS.items():
                if asked not in question.name or not door.takes(question):
                    continue
                counted.forwards = 0
                heard = within(deadline, lambda d=door, q=question: d.ask(backend, q.request))
                found = faults(one, question, heard, tally.seen)
                tally.wrong += [f"{one.name}; {question.name}; {name}: {what}" for what in found]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MemVRWarning)
            more = list(_beside(one, backend, picture, sound, tally.seen))
        tally.wrong += [f"{one.name}: {what}" for what in more]
        if not eventually(lambda: not backend.busy):
            tally.wrong.append(f"{one.name}: something still runs")


def within(seconds: float, ask: Callable[[], Sequence[Given]]) -> Heard:
    """Call it in a thread, which may hang."""
    heard = Heard(error=TimeoutError(f"nothing came within {seconds:g} s"))

    def call() -> None:
        try:
            heard.given, heard.error = ask(), None
        except Exception as error:
            heard.error = error

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(seconds)
    heard.warned = [str(one.message) for one in caught if one.category is MemVRWarning]
    return heard


def faults(one: Break, question: Question, heard: Heard, seen: Counter[str]) -> Iterator[str]:
    """All that was wrong with a call, each in a sentence."""
    if heard.error is not None and not isinstance(heard.error, MemVRError):
        yield f"it broke: {heard.error!r}"
    elif one.damages and (question.pictures or not one.pictures_alone):
        said = str(heard.error)
        names_it = "NaN" in said and "float32" in said
        if not isinstance(heard.error, GenerationError) or not names_it:
            yield f"{heard.error or heard.given!r} came where all is damaged"
        seen["calls that ended in an error which says what is damaged"] += 1
    elif heard.error is not None:
        yield f"it ended with {heard.error!r}"
    else:
        seen["calls that were answered"] += 1
        for given in heard.given:
            yield from _faults_of(question, given, heard.warned, seen)


def _faults_of(
    question: Question, given: Given, warned: Sequence[str], seen: Counter[str]
) -> Iterator[str]:
    if given.finish_reason not in ("stop", "length", "tool_calls"):
        yield f"finish_reason={given.finish_reason!r}"
    if wrong := question.wrong_with(given):
        yield wrong
    if given.empty:
        seen["answers that are empty, with a warning"] += 1
        if not any("empty answer" in text for text in warned):
            yield "an empty answer came without a warning"


def _beside(
    one: Break,
    backend: Backend,
    picture: Pillow.Image,
    sound: Completion,
    seen: Counter[str],
) -> Iterator[str]:
    """What goes for some of the models alone."""
    if one.pictures_alone:
        if backend.generate(TEXT) != [sound]:
            yield "a text without pictures is answered otherwise than before"
        yield from asyncio.run(_neighbours(backend, picture, sound))
    if one.weights is not None:
        yield from _triggers(backend, picture, seen)
    if not one.late:
        yield from _decides(one, backend, picture)
    if one.name == "it never ends":
        yield from _ends_all_the_same(backend)


async def _neighbours(backend: Backend, picture: Pillow.Image, sound: Completion) -> list[str]:
    """A damaged row says nothing about the row beside it."""
    damaged = Request.ask(WORDS, picture, sampling=SamplingParams(max_tokens=8), memvr=EAGER)
    with together(backend, rows=3):
        results = await asyncio.gather(
            *(backend.agenerate(request) for request in (damaged, TEXT, damaged)),
            return_exceptions=True,
        )
    wrong = []
    mine = results[1]
    ids = [token.id for token in sound.tokens]
    if isinstance(mine, BaseException) or [token.id for token in mine[0].tokens] != ids:
        wrong.append(f"beside damaged rows a sound one ended as {mine!r}")
    if not all(isinstance(results[at], GenerationError) for at in (0, 2)):
        wrong.append(f"beside a sound row damaged ones ended as {results[0]!r}, {results[2]!r}")
    return wrong


def _triggers(backend: Backend, picture: Pillow.Image, seen: Counter[str]) -> Iterator[str]:
    """No layer triggers on an entropy that is NaN, whatever the threshold."""
    host = backend._host
    said = [{"type": "image", "image": picture}, {"type": "text", "text": WORDS}]
    inputs = host.processor.apply_chat_template(
        [{"role": "user", "content": said}],
        chat_template=host.prompts.template,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    eventually(lambda: not backend.busy)
    with torch.no_grad(), retracing(backend.model, EAGER) as trace:
        backend.model(**inputs)
    for row in (row for step in trace.steps for row in step.rows):
        none = [layer for layer, entropy in row.entropies.items() if math.isnan(entropy)]
        seen["entropies that are NaN, none of which triggered"] += len(none)
        if row.trigger_layer in none:
            yield f"layer {row.trigger_layer} triggered with an entropy of NaN"


def _decides(one: Break, backend: Backend, picture: Pillow.Image) -> Iterator[str]:
    """Probabilities, which LangChain's decisions and LlamaIndex's evaluators are made of."""
    try:
        shared = shares(backend, Request.ask(WORDS, picture, memvr=EAGER))
    except GenerationError as error:
        if not one.damages:
            yield f"no probabilities came but {error!r}"
    except RequestError as error:
        if one.damages or "any probability" not in str(error):
            yield f"no probabilities came but {error!r}"
    else:
        if one.damages or not math.isclose(sum(shared), 1):
            yield f"the probabilities of Yes and No are {shared}"


def _ends_all_the_same(backend: Backend) -> Iterator[str]:
    """By a time-out, by leaving, and by a stop string; `max_tokens` ended all answers so far."""
    long = SamplingParams(max_tokens=900)
    try:
        backend.generate(Request.ask(WORDS, sampling=long, timeout=0.3))
        yield "no time-out ended it"
    except RequestTimeoutError:
        pass
    stream = backend.stream(Request.ask(WORDS, sampling=long))
    begun = "".join(next(stream).text for _ in range(3))
    stream.close()
    if not eventually(lambda: not backend.busy):
        yield "closing its stream did not end it"
    stopping = SamplingParams(max_tokens=900, stop=(begun[-1],))
    [done] = backend.generate(Request.ask(WORDS, sampling=stopping))
    if done.finish_reason != "stop":
        yield f"stop={begun[-1]!r} did not end it"
