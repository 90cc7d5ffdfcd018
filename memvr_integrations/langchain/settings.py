"""What a chat model is made of: its options, and how they and a call become a request."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import BaseMessage
from pydantic import Field, SecretStr, model_validator

from memvr_integrations import __version__
from memvr_integrations.checks import check_list
from memvr_integrations.errors import RequestError
from memvr_integrations.langchain.answers import PROVIDER
from memvr_integrations.langchain.messages import to_messages
from memvr_integrations.langchain.tools import openai_tool, response_schema
from memvr_integrations.types import Request
from memvr_integrations.wire.options import PER_CALL, ModelOptions

_SETTINGS = {"memvr", "decoding", "image_policy"}
_LOADING = {"device", "dtype", "quantization", "attention", "revision"}


class ChatSettings(ModelOptions, BaseChatModel):
    """The options of `ChatMemVR`, checked; nothing here computes an answer."""

    stop: tuple[str, ...] = Field(default=(), alias="stop_sequences")  # LangChain's name for it
    api_key: SecretStr | None = Field(default=None, exclude=True)  # a local model needs none
    streaming: bool = False
    stream_usage: bool = True

    @model_validator(mode="after")
    def _add_memvr_version(self) -> Self:
        self._add_version("memvr-integrations", __version__)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        """Set an option; the cache key of the next call follows it."""
        super().__setattr__(name, value)
        self.__dict__.pop("_serialized", None)

    # What LangChain asks about a model.

    @property
    def _llm_type(self) -> str:
        return "memvr"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        params = self.model_dump(mode="json", include={*PER_CALL, "stream_usage", *_LOADING})
        return params | {"model": self._answering()}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What a serialised model needs and plain fields don't say."""
        return self.model_dump(mode="json", include=_SETTINGS)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `dumps` writes it."""
        return True

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        if stop or self.stop:
            params["ls_stop"] = stop or list(self.stop)
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        row = self._row()
        profile = ModelProfile(
            name=row.name if row else self._answering(),
            open_weights=True,
            text_inputs=True,
            image_inputs=True,
            image_url_inputs=bool(self._policy().allowed_hosts),
            image_tool_message=True,
            pdf_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            text_outputs=True,
            image_outputs=False,
            tool_calling=True,
            tool_choice=True,
            structured_output=True,
            reasoning_output=False,
        )
        # Not asked of the hub: making a model costs nothing.
        if self.engine is not None or Path(row.checkpoint if row else self.model).is_dir():
            profile["max_input_tokens"] = self._context()
        return profile

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
