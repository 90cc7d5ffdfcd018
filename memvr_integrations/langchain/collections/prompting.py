"""Puts found pictures in front of a question, as many as the model reads at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda

from memvr_integrations.backend.hosting.catalog import find
from memvr_integrations.checks import check_choice, check_integer, check_text
from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.grounding.collections.fitting import fitting
from memvr_integrations.langchain.blocks import image_block
from memvr_integrations.langchain.chat import ChatMemVR
from memvr_integrations.langchain.collections.pictures import source_of
from memvr_integrations.langchain.failures import langchain_errors
from memvr_integrations.wire.warning import warn

Overflow: TypeAlias = Literal["leave_out", "error"]

TOGETHER = (
    "{input}\nAnswer from the numbered pictures. Write the number of the picture after each "
    "statement, like [1]."
)
"""What is asked about several pictures; "{input}" is the question."""


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """How pictures are put in front of a question.

    `most` is how many at most; None is what the model reads. `overflow` says what happens to those
    beyond it.
    """

    template: str = TOGETHER
    most: int | None = None
    overflow: Overflow = "leave_out"

    def __post_init__(self) -> None:
        check_text("template", self.template)
        if "{input}" not in self.template:
            raise ConfigError(
                f"template={self.template!r} has no place for the question, {{input}}."
            )
        check_choice("overflow", self.overflow, get_args(Overflow))
        if self.most is not None:
            check_integer("most", self.most, least=1)


@dataclass(frozen=True, kw_only=True)
class Prompted:
    """A prompt, and how many of the documents are in it, from the first."""

    messages: list[BaseMessage]
    shown: int


def pictures_prompt(
    model: ChatMemVR,
    *,
    template: str = TOGETHER,
    most: int | None = None,
    overflow: Overflow = "leave_out",
) -> Runnable[Mapping[str, Any], list[BaseMessage]]:
    """A prompt of `{"input": question, "context": documents}` for `model`: numbered pictures.

    Pictures that the model can't read beside the others are left out from the end, with a
    MemVRWarning and their sources in the message's `additional_kwargs["left_out"]`; with
    `overflow="error"` they are a RequestError.

    Raises:
        ConfigError: An option is wrong.
    """
    with langchain_errors():
        rule = Prompting(template=template, most=most, overflow=overflow)

    def prompt(given: Mapping[str, Any]) -> list[BaseMessage]:
        with langchain_errors():
            return prompted(model, str(given["input"]), given["context"], rule).messages

    return RunnableLambda(prompt, name="pictures_prompt")


def prompted(
    model: ChatMemVR, question: str, documents: Sequence[Document], rule: Prompting
) -> Prompted:
    """The numbered pictures that fit, and the question after them.

    Raises:
        RequestError: Not all fit, and none may be left out; or not even the first does.
    """
    shown = _fitting(model, question, documents, rule)
    left_out = [str(one.metadata["source"]) for one in documents[shown:]]
    if left_out:
        warn(
            f"{len(left_out)} of {len(documents)} pictures are left out, the first {left_out[0]}: "
            f"the model reads {shown} beside this question. Retrieve fewer (k=, top_n=)."
        )
    [message] = _numbered(question, documents[:shown], rule.template)
    if left_out:
        message.additional_kwargs["left_out"] = left_out
    return Prompted(messages=[message], shown=shown)


def picture_block(document: Document) -> dict[str, object]:
    """A document's picture as a content block."""
    source = source_of(document)
    if isinstance(source, Path):
        return dict(image_block(source))
    return {"type": "image", "url": source}


def _numbered(question: str, documents: Sequence[Document], template: str) -> list[BaseMessage]:
    blocks: list[str | dict[str, object]] = []
    for number, document in enumerate(documents, start=1):
        blocks += [{"type": "text", "text": f"[{number}]"}, picture_block(document)]
    # Not str.format: a question may hold braces.
    asked = template.replace("{input}", question)
    return [HumanMessage([*blocks, {"type": "text", "text": asked}])]


def _fitting(
    model: ChatMemVR, question: str, documents: Sequence[Document], rule: Prompting
) -> int:
    row = find(model._name({})) if model.engine is None else None
    limits = [one for one in (rule.most, row.pictures if row else None) if one is not None]
    most = min([len(documents), *limits])

    def tokens(count: int) -> int:
        return model._count(_numbered(question, documents[:count], rule.template), None, {})

    room = (model._known_context({}) or model._engine({}).context) - model.max_tokens
    shown = fitting(most, room, tokens)
    if shown == len(documents) or (shown and rule.overflow == "leave_out"):
        return shown
    raise RequestError(
        f"{len(documents)} pictures were found, and the model reads {shown} beside this question "
        f"and an answer of max_tokens={model.max_tokens}. Retrieve fewer (k=, top_n=), lower "
        "max_tokens, or allow overflow='leave_out'."
    )
