"""Answers that are withheld when the model was too unsure of them."""

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from pydantic import ConfigDict, InstanceOf

from memvr_integrations.errors import AbstentionError, ConfigError
from memvr_integrations.grounding.abstaining import Abstaining
from memvr_integrations.langchain.failures import langchain_errors


class Abstention(RunnableSerializable[LanguageModelInput, AIMessage]):
    """Asks a model, and withholds an answer that it was too unsure of, as its `rule` has it.

    `response_metadata["memvr"]` says in `abstained`, `withheld` and `threshold` what was withheld
    and why, tool calls in `withheld_tool_calls`.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: Runnable[LanguageModelInput, AIMessage]
    rule: InstanceOf[Abstaining]
    measured: bool = False  # the threshold, on the model itself

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The answer, or what stands for it."""
        self._check_model(kwargs)
        message = self.model.invoke(input, config, **kwargs)
        if stronger := self.rule.second_try(message.response_metadata["memvr"]):
            message = self.model.invoke(input, config, **kwargs | {"memvr": stronger})
        return self._judged(message)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The answer, or what stands for it."""
        self._check_model(kwargs)
        message = await self.model.ainvoke(input, config, **kwargs)
        if stronger := self.rule.second_try(message.response_metadata["memvr"]):
            message = await self.model.ainvoke(input, config, **kwargs | {"memvr": stronger})
        return self._judged(message)

    def _check_model(self, options: Mapping[str, Any]) -> None:
        if self.measured and "model" in options:
            with langchain_errors():
                raise ConfigError(
                    f"The threshold {self.rule.threshold:g} was measured on another model than "
                    f"model={options['model']!r}; bind(model=...) before with_abstention(), or "
                    "give with_abstention(threshold=...)."
                )

    def _judged(self, message: AIMessage) -> AIMessage:
        record = message.response_metadata["memvr"]
        abstained = self.rule.withholds(record["unsureness"])
        if abstained and self.rule.action == "raise":
            raise AbstentionError(message.text, record["unsureness"], self.rule.threshold, message)
        record = record | self.rule.verdict(record["unsureness"], message.text)
        record["withheld_tool_calls"] = list(map(dict, message.tool_calls)) if abstained else []
        update: dict[str, object] = {}
        metadata = message.response_metadata | {"memvr": record}
        if abstained:
            update = {"content": self.rule.answer, "tool_calls": []}
            metadata["finish_reason"] = "stop"
        return message.model_copy(update=update | {"response_metadata": metadata})
