"""Answers that are withheld when the model was too unsure of them."""

from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from pydantic import ConfigDict, InstanceOf

from memvr_integrations.errors import AbstentionError
from memvr_integrations.grounding.abstaining import CANNOT_TELL, Abstaining, Action
from memvr_integrations.memvr.config import MemVRConfig


class Abstention(RunnableSerializable[LanguageModelInput, AIMessage]):
    """Asks a model, and withholds an answer that it was too unsure of.

    How unsure is `Completion.unsureness`, 0 to 1. Above `threshold` the answer becomes `answer`;
    with `action="raise"` an `AbstentionError`; with `action="retry"` the question is asked once
    more under `stronger` retracing before that. `response_metadata["memvr"]` says in `abstained`,
    `withheld` and `threshold` what was withheld and why, tool calls in `withheld_tool_calls`.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: Runnable[LanguageModelInput, AIMessage]
    threshold: float
    action: Action = "answer"
    answer: str = CANNOT_TELL
    stronger: InstanceOf[MemVRConfig] | None = None

    @property
    def _rule(self) -> Abstaining:
        return Abstaining(
            threshold=self.threshold,
            action=self.action,
            answer=self.answer,
            stronger=self.stronger,
        )

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The answer, or what stands for it."""
        message = self.model.invoke(input, config, **kwargs)
        if stronger := self._rule.second_try(message.response_metadata["memvr"]):
            message = self.model.invoke(input, config, **kwargs | {"memvr": stronger})
        return self._judged(message)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The answer, or what stands for it."""
        message = await self.model.ainvoke(input, config, **kwargs)
        if stronger := self._rule.second_try(message.response_metadata["memvr"]):
            message = await self.model.ainvoke(input, config, **kwargs | {"memvr": stronger})
        return self._judged(message)

    def _judged(self, message: AIMessage) -> AIMessage:
        record = message.response_metadata["memvr"]
        abstained = self._rule.withholds(record["unsureness"])
        if abstained and self.action == "raise":
            raise AbstentionError(message.text, record["unsureness"], self.threshold, message)
        record = record | self._rule.verdict(record["unsureness"], message.text)
        record["withheld_tool_calls"] = list(map(dict, message.tool_calls)) if abstained else []
        update: dict[str, object] = {
            "response_metadata": message.response_metadata | {"memvr": record}
        }
        if abstained:
            metadata = message.response_metadata | {"memvr": record, "finish_reason": "stop"}
            update = {"content": self.answer, "tool_calls": [], "response_metadata": metadata}
        return message.model_copy(update=update)
