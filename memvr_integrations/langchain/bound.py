"""A `ChatMemVR` with options for every call."""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBinding
from pydantic import BaseModel

from memvr_integrations.langchain.abstention import Abstention, Action
from memvr_integrations.langchain.chat import ChatMemVR
from memvr_integrations.memvr import MemVRConfig


class BoundMemVR(RunnableBinding[LanguageModelInput, AIMessage]):
    """`ChatMemVR.bind(...)`; LangChain's own binding forgets its options on the way to a method."""

    bound: ChatMemVR

    @classmethod
    def lc_id(cls) -> list[str]:
        """What it is called in what is written: LangChain's own binding."""
        return [*cls.get_lc_namespace(), "RunnableBinding"]

    def bind(self, **kwargs: Any) -> "BoundMemVR":
        """More options."""
        return BoundMemVR(bound=self.bound, kwargs={**self.kwargs, **kwargs}, config=self.config)

    def bind_tools(
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """As `ChatMemVR.bind_tools`."""
        return self.bound.bind_tools(tools, **{**self.kwargs, **kwargs})

    def with_structured_output(
        self, schema: dict[str, Any] | type, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """As `ChatMemVR.with_structured_output`."""
        return self.bound.with_structured_output(schema, **{**self.kwargs, **kwargs})

    def with_abstention(
        self,
        threshold: float | None = None,
        *,
        action: Action = "answer",
        answer: str = "I can't tell from this image.",
        stronger: MemVRConfig | None = None,
    ) -> Abstention:
        """As `ChatMemVR.with_abstention`."""
        made = self.bound.with_abstention(
            threshold, action=action, answer=answer, stronger=stronger
        )
        return made.model_copy(update={"model": self})
