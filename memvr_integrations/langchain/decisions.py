"""`MemVRDecision`: yes/no questions, choices, rubrics and boxes about pictures, as LangChain's.

Needs a langchain-core that has `langchain_core.decisions` (1.8 or later).
"""

import asyncio
import itertools
import json
import logging
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

from langchain_core.decisions import (
    Answer,
    BaseDecisionModel,
    Box,
    BoxAnswer,
    BoxCoordinates,
    Choice,
    ChoiceAnswer,
    ClassifierResponse,
    Noul,
    NoulAnswer,
    Question,
    Score,
    ScoreAnswer,
    State,
)
from langchain_core.messages import BaseMessage, HumanMessage, UsageMetadata
from pydantic import ConfigDict, PrivateAttr, model_validator

from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.choice import YES_NO, ashares, shares
from memvr_integrations.langchain.chat import ChatMemVR
from memvr_integrations.langchain.failures import langchain_errors
from memvr_integrations.langchain.messages import to_messages
from memvr_integrations.types import Completion, Image, Message, ReadImage, Request, Text, Usage
from memvr_integrations.types.engine import Engine
from memvr_integrations.wire.parts import Part, is_block, parts_of

logger = logging.getLogger(__name__)

_SHORT = " Answer yes or no."
_BOX = " Give a box."
_IN_ORDER = re.compile(r"(please )?(locate|find|mark|detect|point (at|to|out)) ", re.IGNORECASE)
_ARTICLE = re.compile(r"^(The|An?|This|That)\b")


class MemVRDecision(BaseDecisionModel):
    """Answers typed questions about a state that may hold pictures, by the model's probabilities.

    A `Noul` is P(yes) of yes and no, a `Choice` the share of each label, a `Score` that of each
    level; nothing is sampled. Where one label begins another ("1" and "10") each counts alone.
    A `Box` is answered by models that write boxes, as Qwen-VL and the bundled one do: the box is
    in the newest picture, and has no confidence. Pictures may stand in the state, in instructions
    and in criteria. `memvr` and the options of loading are those of `chat`, and `model` becomes the
    name of the engine that answers.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: str = "bundled"
    chat: ChatMemVR | None = None

    _chat: ChatMemVR | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _name_who_answers(self) -> Self:
        if self.chat is not None:
            self.model = self.chat._answering({})
        return self

    @property
    def _provider(self) -> str:
        return "memvr"

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        chat = self._model()
        with langchain_errors():
            engine = chat._engine({})
            found: dict[str, tuple[Answer, Usage]] = {}
            for name, request, answers, question in _asked(chat, state, questions):
                if isinstance(question, Box):
                    done = chat._answer(request, {"abstain": None})
                    found[name] = _located(name, request, done), done.usage
                else:
                    shared = shares(engine, request, answers, retries=chat.max_retries)
                    found[name] = _answer(question, answers, shared), engine.count(request)
            return _response(engine, found)

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        chat = self._model()
        with langchain_errors():
            engine = await chat._aengine({})
            found: dict[str, tuple[Answer, Usage]] = {}
            # In threads, because they read pictures.
            asked = await asyncio.to_thread(lambda: list(_asked(chat, state, questions)))
            for name, request, answers, question in asked:
                if isinstance(question, Box):
                    done = await chat._aanswer(request, {"abstain": None})
                    found[name] = _located(name, request, done), done.usage
                else:
                    shared = await ashares(engine, request, answers, retries=chat.max_retries)
                    usage = await asyncio.to_thread(engine.count, request)
                    found[name] = _answer(question, answers, shared), usage
            return _response(engine, found)

    def _model(self) -> ChatMemVR:
        if self._chat is None:
            self._chat = self.chat or ChatMemVR(model=self.model)
        return self._chat


def _asked(
    chat: ChatMemVR, state: State, questions: Mapping[str, Question]
) -> Iterator[tuple[str, Request, Sequence[str], Question]]:
    """A request for each question, and the answers among which its probability is shared out.

    All are about the same pictures, which are read once.
    """
    from memvr_integrations.backend.images.opened import opened

    policy = chat._policy()
    seen = opened(list(_messages(state)), policy)
    plain = chat._request([HumanMessage("")], None, {})  # for the options of the chat model
    for name, question in questions.items():
        answers, said = _question(question)
        message = Message("user", list(_joined(said)))
        request = replace(plain, messages=(*seen, *opened([message], policy)))
        if isinstance(question, Box):
            _check_place(name, seen, message)
            request = replace(request, sampling=replace(plain.sampling, temperature=0.0, n=1))
        yield name, request, answers, question


def _question(question: Question) -> tuple[Sequence[str], list[Part]]:
    """The answers of a question, and its words and pictures."""
    said = _said(question.instructions)
    if isinstance(question, Noul):
        cases = question.criteria and (
            ("yes", question.criteria.true),
            ("no", question.criteria.false),
        )
        for word, case in cases or ():
            if case is not None:
                said += [Text(f" Say {word} for: "), *_said(case), Text(".")]
        return YES_NO, [*said, Text(_SHORT)]
    if isinstance(question, Choice):
        said.append(Text(" Answer with one of: "))
        for place, (label, what) in enumerate(question.criteria.items()):
            said.append(Text(", " * bool(place) + label))
            if what is not None:
                said += [Text(" ("), *_said(what), Text(")")]
        return list(question.criteria), [*said, Text(".")]
    if isinstance(question, Score):
        said.append(Text(" Answer with a number. "))
        for level, what in enumerate(question.criteria):
            said += [Text("; " * bool(level) + f"{level}: "), *_said(what)]
        return [str(level) for level in range(len(question.criteria))], [*said, Text(".")]
    return (), _where(said)


def _where(said: Sequence[Part]) -> list[Part]:
    """A question for a box, as the models that write boxes know it."""
    text = said[0].text.strip() if len(said) == 1 and isinstance(said[0], Text) else ""
    if not text or text.endswith("?"):
        return [*said, Text(_BOX)]
    thing = _ARTICLE.sub(lambda found: found[0].lower(), _IN_ORDER.sub("", text, count=1))
    thing = thing.rstrip(".!")
    return [Text(f"Where exactly is {thing}?{_BOX}")]


def _check_place(name: str, seen: Sequence[Message], message: Message) -> None:
    """RequestError where a box could be in no picture, or in the wrong one."""
    there, here = (
        any(isinstance(part, Image) for one in messages for part in one.content)
        for messages in (seen, [message])
    )
    if not there or here:
        raise RequestError(
            f"The question {name!r} asks for a place, and "
            + ("brings a picture itself" if here else "the state holds no picture")
            + "; put the picture in which it is to be found into the state, and no other into "
            "the question."
        )


def _located(name: str, request: Request, done: Completion) -> BoxAnswer:
    if not done.boxes:
        raise RequestError(
            f"The question {name!r} asks for a place, and {done.model} wrote no box but "
            f"{done.text[:200]!r}. Ask a model that writes boxes (qwen-vl-chat, the bundled one), "
            "and ask by a Noul first whether the thing is there."
        )
    box = done.boxes[0]
    picture = request.images[box.image].source
    assert isinstance(picture, ReadImage)  # as `opened` leaves it
    width, height = picture.pixels.size
    return BoxAnswer(
        type="box",
        box=BoxCoordinates(
            top=box.top / height,
            bottom=box.bottom / height,
            left=box.left / width,
            right=box.right / width,
        ),
    )


def _answer(
    question: Noul | Choice | Score, answers: Sequence[str], probabilities: Sequence[float]
) -> Answer:
    if isinstance(question, Noul):
        return NoulAnswer(type="noul", noul=probabilities[0])
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    if isinstance(question, Choice):
        return ChoiceAnswer(
            type="choice",
            choice=answers[best],
            probabilities=dict(zip(answers, probabilities, strict=True)),
            confidence=probabilities[best],
        )
    return ScoreAnswer(
        type="score",
        score=sum(level * one for level, one in enumerate(probabilities)),
        legend=dict(enumerate(question.criteria)),
        probabilities=dict(enumerate(probabilities)),
        confidence=probabilities[best],
    )


def _response(engine: Engine, found: Mapping[str, tuple[Answer, Usage]]) -> ClassifierResponse:
    """All answers, with the tokens of their questions' prompts, and those that boxes took."""
    read = sum(usage.prompt_tokens for _, usage in found.values())
    written = sum(usage.completion_tokens for _, usage in found.values())
    known = f"memvr-{uuid.uuid4().hex}"
    logger.debug("%s: %d questions, %d tokens of prompts", known, len(found), read)
    return ClassifierResponse(
        model=engine.name,
        answers={name: answer for name, (answer, _) in found.items()},
        usage=UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written),
        request_id=known,
    )


def _messages(state: State) -> Iterator[Message]:
    """A state as messages: its own messages stay such, pictures pictures, the rest JSON."""
    if isinstance(state, Sequence) and state and all(isinstance(o, BaseMessage) for o in state):
        yield from to_messages(state)  # type: ignore[arg-type]
    elif isinstance(state, BaseMessage):
        yield from to_messages([state])
    else:
        yield Message("user", list(_parts(state)))


def _parts(state: object) -> Iterator[Part]:
    if isinstance(state, str):
        yield Text(state)
    elif isinstance(state, BaseMessage):
        for message in to_messages([state]):
            yield from message.content
    elif is_block(state):
        yield from parts_of(state)
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield Text(f"{key}:")
            yield from _parts(value)
    elif isinstance(state, Sequence):
        for value in state:
            yield from _parts(value)
    else:
        yield Text(json.dumps(state))


def _said(content: object) -> list[Part]:
    """What instructions or criteria say: a text, data as JSON, or blocks part by part."""
    if isinstance(content, str):
        return [Text(content)]
    if _holds_blocks(content):
        return list(_joined(_parts(content), " "))
    return [Text(json.dumps(content, ensure_ascii=False))]


def _holds_blocks(content: object) -> bool:
    if is_block(content):
        return True
    if isinstance(content, Mapping):
        return any(map(_holds_blocks, content.values()))
    return isinstance(content, list) and any(map(_holds_blocks, content))


def _joined(parts: Iterable[Part], between: str = "") -> Iterator[Part]:
    """Neighbouring texts as one."""
    for kind, several in itertools.groupby(parts, type):
        if kind is Text:
            yield Text(between.join(part.text for part in several if isinstance(part, Text)))
        else:
            yield from several
