"""Answers that are withheld when the model was too unsure of them."""

from dataclasses import replace
from typing import Any, Literal, Self, TypeAlias

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from pydantic import ConfigDict, InstanceOf

from memvr_integrations.checks import check_number
from memvr_integrations.errors import ConfigError, MemVRError
from memvr_integrations.memvr import MemVRConfig

Action: TypeAlias = Literal["answer", "raise", "retry"]


class AbstentionError(MemVRError):
    """The model was too unsure of its answer; `message` is what it would have said."""

    def __init__(self, message: AIMessage, unsureness: float, threshold: float) -> None:
        super().__init__(
            f"The model was unsure of its answer {message.text!r}: {unsureness:.2f}, above "
            f"threshold={threshold}. Ask another way, show a clearer image, or raise the threshold."
        )
        self.message, self.unsureness, self.threshold = message, unsureness, threshold

    def __reduce__(self) -> tuple[type[Self], tuple[AIMessage, float, float]]:
        """Pickle by what it was made of; an exception's default is its text."""
        return type(self), (self.message, self.unsureness, self.threshold)


class Abstention(RunnableSerializable[LanguageModelInput, AIMessage]):
    """Asks a model, and withholds an answer that it was too unsure of.

    How unsure is `Completion.unsureness`, 0 to 1. Above `threshold` the answer becomes `answer`;
    with `action="raise"` an `AbstentionError`; with `action="retry"` the question is asked once
    more under `stronger` retracing before that. `response_metadata["memvr"]` says what was
    withheld and why, tool calls too.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: Runnable[LanguageModelInput, AIMessage]
    threshold: float
    action: Action = "answer"
    answer: str = "I can't tell from this image."
    stronger: InstanceOf[MemVRConfig] | None = None

    @classmethod
    def around(
        cls,
        model: Runnable[LanguageModelInput, AIMessage],
        name: str,
        *,
        threshold: float | None,
        action: Action,
        answer: str,
        stronger: MemVRConfig | None,
    ) -> Self:
        """An abstaining model, its options checked.

        Raises:
            ConfigError: There is no threshold, or it is outside 0 to 1.
        """
        if threshold is None:
            raise ConfigError(
                f"No threshold was measured for {name!r}; pass with_abstention(threshold), "
                "0 to 1, chosen on answers of which you know whether they are right."
            )
        check_number("threshold", threshold, most=1)
        return cls(
            model=model, threshold=threshold, action=action, answer=answer, stronger=stronger
        )

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The answer, or what stands for it."""
        message = self.model.invoke(input, config, **kwargs)
        if again := self._stronger(message):
            message = self.model.invoke(input, config, **kwargs | again)
        return self._judged(message)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The answer, or what stands for it."""
        message = await self.model.ainvoke(input, config, **kwargs)
        if again := self._stronger(message):
            message = await self.model.ainvoke(input, config, **kwargs | again)
        return self._judged(message)

    def _stronger(self, message: AIMessage) -> dict[str, MemVRConfig]:
        """The settings of a second try; none where there is no reason or no way to look harder."""
        record = message.response_metadata["memvr"]
        if self.action != "retry" or record["unsureness"] <= self.threshold:
            return {}
        if self.stronger is not None:
            return {"memvr": self.stronger}
        if not record["config"]:  # MemVR was off, or there was no picture
            return {}
        config = MemVRConfig(**record["config"])
        ratio = min(1.0, 2 * config.retracing_ratio)
        threshold = config.entropy_threshold / 2
        return {"memvr": replace(config, entropy_threshold=threshold, retracing_ratio=ratio)}

    def _judged(self, message: AIMessage) -> AIMessage:
        record = message.response_metadata["memvr"]
        found = record["unsureness"]
        record = record | {"threshold": self.threshold, "abstained": found > self.threshold}
        if found <= self.threshold:
            metadata = message.response_metadata | {"memvr": record}
            return message.model_copy(update={"response_metadata": metadata})
        if self.action == "raise":
            raise AbstentionError(message, found, self.threshold)
        record["withheld"] = message.text
        record["withheld_tool_calls"] = [dict(call) for call in message.tool_calls]
        metadata = message.response_metadata | {"memvr": record, "finish_reason": "stop"}
        return message.model_copy(
            update={"content": self.answer, "tool_calls": [], "response_metadata": metadata}
        )
