"""From a question to an answer from pictures that were found for it, and which ones those are."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from langchain_core.documents import Document
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from memvr_integrations.checks import check_choice, check_integer, check_kind
from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.citing import Marks, cited_numbers, lines, unmarked
from memvr_integrations.langchain.chat import ChatMemVR
from memvr_integrations.langchain.collections.prompting import (
    TOGETHER,
    Overflow,
    Prompting,
    picture_block,
    prompted,
)
from memvr_integrations.langchain.collections.relevance import PictureRelevance
from memvr_integrations.langchain.failures import langchain_errors
from memvr_integrations.wire.blocking import wait_for

Mode: TypeAlias = Literal["each", "together"]

NOTHING_FOUND = "No picture in this collection fits the question."


class PictureAnswer(TypedDict):
    """What the chain gives: the question, the pictures shown, and the answer.

    `[n]` in `answer` is `context[n - 1]`; `cited` are those documents. `left_out` were found but
    not shown. `messages` are the model's own, each with its record.
    """

    input: str
    context: list[Document]
    answer: str
    cited: list[Document]
    left_out: list[Document]
    messages: list[AIMessage]


def create_picture_retrieval_chain(
    model: ChatMemVR,
    retriever: Runnable[str, list[Document]],
    *,
    mode: Mode = "each",
    relevant: int | None = 1,
    overflow: Overflow = "leave_out",
    template: str = TOGETHER,
) -> Runnable[str | Mapping[str, Any], PictureAnswer]:
    """A chain that answers a question, or `{"input": question}`, from pictures, and cites them.

    What `retriever` finds is sorted by what the model sees in it, and the first `relevant` are
    asked about (None: all, in the retriever's order). `mode="each"` asks about every picture
    alone, in one batch, and answers with a line for each; "together" shows them at once, as many
    as the model reads, by `template`. Where nothing is found, it says so and asks no model.

    Raises:
        ConfigError: An option is wrong.
    """
    with langchain_errors():
        check_kind("model", model, ChatMemVR, "ChatMemVR(model=...)")
        check_kind("retriever", retriever, Runnable, "PictureRetriever(...), or another retriever")
        check_choice("mode", mode, get_args(Mode))
        if relevant is not None:
            check_integer("relevant", relevant, least=1)
        rule = Prompting(template=template, overflow=overflow)
    sorting = None if relevant is None else PictureRelevance(model=model, top_n=relevant)
    asking = _Asking(model, mode, rule)

    async def answer(given: str | Mapping[str, Any], config: RunnableConfig) -> PictureAnswer:
        question = _question(given)
        found = await retriever.ainvoke(question, config)
        if sorting is not None:
            found = list(await sorting.acompress_documents(found, question))
        return await asking.answer(question, found, config)

    def answer_now(given: str | Mapping[str, Any], config: RunnableConfig) -> PictureAnswer:
        question = _question(given)
        found = retriever.invoke(question, config)  # some have no asyncio of their own
        if sorting is not None:
            found = list(sorting.compress_documents(found, question))
        return wait_for(asking.answer(question, found, config))

    return RunnableLambda(answer_now, answer, name="picture_retrieval_chain")


class _Asking:
    """Asks the model about found pictures."""

    def __init__(self, model: ChatMemVR, mode: Mode, rule: Prompting) -> None:
        self._model, self._mode, self._rule = model, mode, rule

    async def answer(
        self, question: str, found: Sequence[Document], config: RunnableConfig
    ) -> PictureAnswer:
        shown, said = len(found), list[AIMessage]()
        if not found:
            text = NOTHING_FOUND
        elif self._mode == "each":
            with langchain_errors():
                asked = await asyncio.to_thread(_alone, question, found)
            said = await self._model.abatch(asked, config)
            text = lines(enumerate((unmarked(one.text) for one in said), start=1))
        else:
            with langchain_errors():
                prompt = await asyncio.to_thread(prompted, self._model, question, found, self._rule)
            shown = prompt.shown
            said = [await self._model.ainvoke(prompt.messages, config)]
            reader = Marks(range(1, shown + 1))
            text = reader.read(said[0].text) + reader.finish()
        numbers = cited_numbers(text) if found else set()
        return PictureAnswer(
            input=question,
            context=list(found[:shown]),
            answer=text,
            cited=[one for n, one in enumerate(found[:shown], start=1) if n in numbers],
            left_out=list(found[shown:]),
            messages=said,
        )


def _alone(question: str, found: Sequence[Document]) -> list[LanguageModelInput]:
    """The question about each picture by itself."""
    text = {"type": "text", "text": question}
    return [[HumanMessage([picture_block(document), text])] for document in found]


def _question(given: object) -> str:
    question = given.get("input") if isinstance(given, Mapping) else given
    if not isinstance(question, str) or not question.strip():
        with langchain_errors():
            raise RequestError(
                f"The chain was given {repr(given)[:200]}; give a question, or "
                '{"input": question}.'
            )
    return question
