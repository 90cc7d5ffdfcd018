"""`MemVRDecision`: yes/no questions, choices and rubrics about pictures, as probabilities.

Needs a langchain-core that has `langchain_core.decisions` (1.8 or later).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

from langchain_core.decisions import (
    Answer,
    BaseDecisionModel,
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
from langchain_core.messages import BaseMessage, HumanMessage
from pydantic import ConfigDict, PrivateAttr, model_validator

from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.choice import YES_NO, ashares, shares
from memvr_integrations.langchain.chat import ChatMemVR
from memvr_integrations.langchain.failures import langchain_errors
from memvr_integrations.langchain.messages import to_messages
from memvr_integrations.types import Image, Message, Request, Text
from memvr_integrations.wire.parts import is_block, parts_of

_SHORT = "Answer yes or no."


class MemVRDecision(BaseDecisionModel):
    """Answers typed questions about a state that may hold pictures, by the model's probabilities.

    A `Noul` is P(yes) of yes and no, a `Choice` the share of each label, a `Score` that of each
    level; nothing is sampled. Where one label begins another ("1" and "10") each counts alone.
    `memvr` and the options of loading are those of `chat`. A `Box` can't be answered: it is
    refused.
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
            found = {}
            for name, request, answers, question in _asked(chat, state, questions):
                shared = shares(engine, request, answers, retries=chat.max_retries)
                found[name] = _answer(question, answers, shared)
        return ClassifierResponse(model=chat._answering({}), answers=found)

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        chat = self._model()
        with langchain_errors():
            engine = await chat._aengine({})
            found = {}
            for name, request, answers, question in _asked(chat, state, questions):
                shared = await ashares(engine, request, answers, retries=chat.max_retries)
                found[name] = _answer(question, answers, shared)
        return ClassifierResponse(model=chat._answering({}), answers=found)

    def _model(self) -> ChatMemVR:
        if self._chat is None:
            self._chat = self.chat or ChatMemVR(model=self.model)
        return self._chat


def _asked(
    chat: ChatMemVR, state: State, questions: Mapping[str, Question]
) -> Iterator[tuple[str, Request, Sequence[str], Noul | Choice | Score]]:
    """A request for each question, and the answers among which its probability is shared out."""
    seen = list(_messages(state))
    plain = chat._request([HumanMessage("")], None, {})  # for the options of the chat model
    for name, question in questions.items():
        if isinstance(question, Noul):
            answers: Sequence[str] = YES_NO
            text = f"{_written(question.instructions)}{_criteria(question)} {_SHORT}"
        elif isinstance(question, Choice):
            answers = list(question.criteria)
            text = f"{_written(question.instructions)} Answer with one of: {_options(question)}."
        elif isinstance(question, Score):
            answers = [str(level) for level in range(len(question.criteria))]
            levels = "; ".join(f"{i}: {_written(one)}" for i, one in enumerate(question.criteria))
            text = f"{_written(question.instructions)} Answer with a number. {levels}."
        else:
            raise RequestError(
                f"The question {name!r} asks for a place; MemVRDecision answers Noul, Choice and "
                "Score."
            )
        request = replace(plain, messages=(*seen, Message("user", text)))
        yield name, request, answers, question


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


def _messages(state: State) -> Iterator[Message]:
    """A state as messages: its own messages stay such, pictures pictures, the rest JSON."""
    if isinstance(state, Sequence) and state and all(isinstance(o, BaseMessage) for o in state):
        yield from to_messages(state)  # type: ignore[arg-type]
    elif isinstance(state, BaseMessage):
        yield from to_messages([state])
    else:
        yield Message("user", list(_parts(state)))


def _parts(state: object) -> Iterator[Text | Image]:
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


def _written(content: object) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _criteria(question: Noul) -> str:
    if question.criteria is None:
        return ""
    cases = (("yes", question.criteria.true), ("no", question.criteria.false))
    return "".join(f" Say {word} for: {_written(one)}." for word, one in cases if one is not None)


def _options(question: Choice) -> str:
    return ", ".join(
        label if what is None else f"{label} ({_written(what)})"
        for label, what in question.criteria.items()
    )
