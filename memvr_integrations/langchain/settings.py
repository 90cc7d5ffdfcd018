"""What a chat model is made of: its options, and how they and a call become a request."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, cast

from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import BaseMessage
from pydantic import Field, PrivateAttr, SecretStr, model_validator

from memvr_integrations import __version__
from memvr_integrations.checks import check_list
from memvr_integrations.errors import MemVRError, RequestError
from memvr_integrations.grounding.options import CheckedOptions
from memvr_integrations.langchain.answers import PROVIDER
from memvr_integrations.langchain.messages import to_messages
from memvr_integrations.langchain.tools import openai_tool, response_schema
from memvr_integrations.types import Request
from memvr_integrations.wire.options import PER_CALL

_SETTINGS = {"memvr", "decoding", "image_policy", "abstain"}
_LOADING = {"device", "dtype", "quantization", "attention", "revision"}
_PROFILED = {"model", "revision", "engine", "image_policy"}  # what a profile depends on

_CAN = (
    "open_weights",
    "text_inputs",
    "image_inputs",
    "image_tool_message",
    "text_outputs",
    "tool_calling",
    "tool_choice",
    "tool_call_streaming",
    "structured_output",
    "attachment",
    "temperature",
)
_CANNOT = (
    "pdf_inputs",
    "audio_inputs",
    "video_inputs",
    "pdf_tool_message",
    "image_outputs",
    "audio_outputs",
    "video_outputs",
    "reasoning_output",
    "mid_conversation_tools",
)


class ChatSettings(CheckedOptions, BaseChatModel):
    """The options of `ChatMemVR`, checked; nothing here computes an answer."""

    stop: tuple[str, ...] = Field(default=(), alias="stop_sequences")  # LangChain's name for it
    api_key: SecretStr | None = Field(default=None, exclude=True)  # a local model needs none
    streaming: bool = False
    stream_usage: bool = True

    _own_profile: ModelProfile | None = PrivateAttr(default=None)  # none that a user gave

    @model_validator(mode="after")
    def _add_memvr_version(self) -> Self:
        self._add_version("memvr-integrations", __version__)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        """Set an option; the cache key of the next call follows it, and so does the profile."""
        super().__setattr__(name, value)
        self._follow({name})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other options; what depends on them follows."""
        made = super().model_copy(update=update, deep=deep)
        made._follow(set(update or ()))
        return made

    def _follow(self, changed: set[str]) -> None:
        self.__dict__.pop("_serialized", None)
        if changed & _PROFILED and "profile" not in changed and self.profile == self._own_profile:
            self.profile = self._own_profile = None
            with suppress(MemVRError):  # what can't be used is refused where it is used
                self.profile = self._resolve_model_profile()

    # What LangChain asks about a model.

    @property
    def _llm_type(self) -> str:
        return "memvr"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        loading = _LOADING if self.engine is None else set()  # an engine is loaded already
        params = self.model_dump(
            mode="json", include={*PER_CALL, "abstain", "stream_usage", *loading}
        )
        return params | {"model": self._answering({})}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What a serialised model needs and plain fields don't say."""
        attributes = self.model_dump(mode="json", include=_SETTINGS)
        if self.engine is not None:  # by its name, which whoever reads it back is refused by
            attributes |= {"model": self.engine.name, "engine": self.engine.name}
        return attributes

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `dumps` writes it."""
        return True

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        with suppress(RequestError):  # what is no name is refused where it is asked
            params["ls_model_name"] = self._answering(kwargs)
        if stop or self.stop:
            params["ls_stop"] = stop or list(self.stop)
        return params

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """LangChain's key for a cache, after that of the model which answers."""
        self.__dict__.pop("_serialized", None)  # a copy may have brought another model's
        return f"{self._identity(kwargs).key}---{super()._get_llm_string(stop, **kwargs)}"

    def _resolve_model_profile(self) -> ModelProfile | None:
        self._own_profile = self._profile_of({})
        return self._own_profile

    def _profile_of(self, options: Mapping[str, Any]) -> ModelProfile:
        """The profile of the model that answers; the hub is not asked: making one costs nothing."""
        profile: dict[str, object] = {
            **dict.fromkeys(_CAN, True),
            **dict.fromkeys(_CANNOT, False),
            "name": self._answering(options),
            "image_url_inputs": bool(self._policy().allowed_hosts),
        }
        with suppress(MemVRError):  # whoever loads it says what is wrong
            if context := self._known_context(options):
                # Prompt and answer share it.
                profile |= {"max_input_tokens": context, "max_output_tokens": context}
        known = ModelProfile.__annotations__  # an older core has fewer, and warns of others
        return cast("ModelProfile", {name: profile[name] for name in profile if name in known})

    # From LangChain's words to the backend's.

    def _request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: Mapping[str, Any]
    ) -> Request:
        self._check_options(options)
        given = {
            **options,
            "tools": [
                tool if isinstance(tool, Mapping) else openai_tool(tool)
                for tool in check_list("tools", options.get("tools") or (), "[tool, ...]")
            ],
            "response_format": response_schema(options.get("response_format")),
        }
        if stop:
            given["stop"] = stop
        return self._to_request(to_messages(messages), given)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        # The last one is LangChain's own note for tracing.
        self._check_call(options, "stream_usage", "strict", "ls_structured_output_format")
        if not isinstance(options.get("stream_usage", True), bool):
            raise RequestError(f"stream_usage={options['stream_usage']!r} must be True or False.")
