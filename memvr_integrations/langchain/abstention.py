"""Answers that are withheld when the model was too unsure of them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from pydantic import ConfigDict, InstanceOf

from memvr_integrations.errors import AbstentionError, ConfigError
from memvr_integrations.grounding.abstaining import CANNOT_TELL, Abstaining, Action, known_threshold
from memvr_integrations.langchain.failures import langchain_errors
from memvr_integrations.memvr.config import MemVRConfig

Measured: TypeAlias = Callable[[Mapping[str, Any]], float | None]
"""The threshold that was measured on the model which some options of a call ask."""


class Abstention(RunnableSerializable[LanguageModelInput, AIMessage]):
    """Asks a model, and withholds an answer that it was too unsure of, as its `rule` has it.

    `response_metadata["memvr"]` says in `abstained`, `withheld` and `threshold` what was withheld
    and why, tool calls in `withheld_tool_calls`.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: Runnable[LanguageModelInput, AIMessage]
    rule: InstanceOf[Abstaining]
    measured: Measured | None = None  # where the threshold was taken from

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
        if self.measured is None or self.measured(options) == self.rule.threshold:
            return
        with langchain_errors():
            raise ConfigError(
                f"The threshold {self.rule.threshold:g} was measured on another model than the one "
                "that is asked now; bind(model=...) before with_abstention(), or give "
                "with_abstention(threshold=...)."
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


class Withholding:
    """A mixin of a model, and of a model with bound options, of which one may name another."""

    def _answering(self, options: Mapping[str, Any]) -> str:
        raise NotImplementedError

    def _abstention(self, options: Mapping[str, Any]) -> float | None:
        raise NotImplementedError

    def with_abstention(
        self,
        threshold: float | None = None,
        *,
        action: Action = "answer",
        answer: str = CANNOT_TELL,
        stronger: MemVRConfig | None = None,
    ) -> Abstention:
        """A model that says so when it is too unsure, instead of guessing: see `Abstention`.

        How unsure is `Completion.unsureness`, 0 to 1. Above `threshold` the answer becomes
        `answer`; with `action="raise"` an `AbstentionError`; with `action="retry"` the question is
        asked once more under `stronger` retracing before that.

        Raises:
            ConfigError: The model has no measured threshold, and none was given.
        """
        with langchain_errors():
            chosen = known_threshold(
                self._answering({}), given=threshold, measured=self._abstention({})
            )
            rule = Abstaining(threshold=chosen, action=action, answer=answer, stronger=stronger)
        asked = cast("Runnable[LanguageModelInput, AIMessage]", self)
        return Abstention(
            model=asked, rule=rule, measured=self._abstention if threshold is None else None
        )
