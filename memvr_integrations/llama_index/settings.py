"""What the LLM is made of: its options, and how they and a call become a request."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    PrivateAttr,
    SkipValidation,
    StrictBool,
    field_serializer,
    field_validator,
    model_validator,
)

from memvr_integrations.backend.classes import schema_of_class
from memvr_integrations.backend.loading import Dtype, LoadConfig, Quantization, context_of
from memvr_integrations.backend.protocol import Engine
from memvr_integrations.backend.registry import Leases
from memvr_integrations.errors import ConfigError, ModelNotFoundError, check_options
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.policy import ImagePolicy
from memvr_integrations.tools import JsonSchema, Tool
from memvr_integrations.types import Message, Request, SamplingParams

_SAMPLING = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "seed",
    "stop",
)
_PER_CALL = (
    *_SAMPLING,
    "memvr",
    "timeout",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
)


class LLMSettings(FunctionCallingLLM):
    """The options of `MemVRMultiModalLLM`, checked; nothing here computes an answer."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    model: str = "bundled"
    memvr: InstanceOf[MemVRConfig] | dict[str, Any] | StrictBool | None = True
    max_tokens: int = SamplingParams.max_tokens
    temperature: float = SamplingParams.temperature
    top_p: float = SamplingParams.top_p
    top_k: int = SamplingParams.top_k
    min_p: float = SamplingParams.min_p
    repetition_penalty: float = SamplingParams.repetition_penalty
    stop: tuple[str, ...] = ()
    seed: int | None = None
    timeout: float | None = None
    max_retries: int = Field(default=2, ge=0)
    context_window: int | None = None
    device: str = "auto"
    dtype: Dtype = "auto"
    quantization: Quantization | None = None
    attention: str | None = None
    revision: str | None = None
    allow_image_urls: bool | tuple[str, ...] = False
    image_dirs: tuple[Path, ...] = ()
    engine: SkipValidation[Engine | None] = Field(default=None, exclude=True, repr=False)

    _leases: Leases = PrivateAttr(default_factory=Leases)

    @model_validator(mode="before")
    @classmethod
    def _know_every_option(cls, values: Any) -> Any:
        given = values if isinstance(values, dict) else ()
        check_options("MemVRMultiModalLLM", given, cls.model_fields)
        return values

    @field_validator("model", mode="before")
    @classmethod
    def _path_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, Path) else value

    @field_validator("memvr", mode="before")
    @classmethod
    def _settings_as_config(cls, value: object) -> object:
        return MemVRConfig.read(value)

    @field_serializer("memvr")
    def _memvr_as_data(
        self, value: MemVRConfig | dict[str, Any] | bool | None
    ) -> dict[str, Any] | bool | None:
        return asdict(value) if isinstance(value, MemVRConfig) else value

    @field_serializer("image_dirs")
    def _dirs_as_text(self, value: tuple[Path, ...]) -> list[str]:
        return [str(path) for path in value]

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        self._request([Message("user", "")], {})
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Core would leave an engine out of a pickle without a word."""
        if self.engine is not None:
            raise ConfigError(
                "An LLM that was given an engine= can't be pickled; give it a model= instead."
            )
        return super().__getstate__()

    @property
    def metadata(self) -> LLMMetadata:
        """The model's limits, as far as they are known without loading it."""
        return LLMMetadata(
            context_window=self.context_window or self._known_window(),
            num_output=self.max_tokens,
            is_chat_model=True,
            is_function_calling_model=True,
            model_name=self.model,
        )

    def _known_window(self) -> int:
        if self.engine is not None:
            return self.engine.context
        try:
            return context_of(self.model, self.revision)
        except ModelNotFoundError:
            return DEFAULT_CONTEXT_WINDOW

    def _request(self, messages: Sequence[Message], options: Mapping[str, Any]) -> Request:
        check_options("A call of MemVRMultiModalLLM", options, _PER_CALL)
        return Request(
            messages=tuple(messages),
            sampling=SamplingParams(**{name: self._option(options, name) for name in _SAMPLING}),
            memvr=MemVRConfig.read(self._option(options, "memvr")),
            timeout=self._option(options, "timeout"),
            tools=tuple(_tools(options.get("tools") or ())),
            tool_choice=options.get("tool_choice") or "auto",
            parallel_tool_calls=options.get("parallel_tool_calls") is not False,
            response_format=_schema(options.get("response_format")),
            image_policy=self.image_policy,
        )

    def _option(self, options: Mapping[str, Any], name: str) -> Any:
        return options[name] if name in options else getattr(self, name)

    @property
    def image_policy(self) -> ImagePolicy:
        """Which pictures may come in."""
        given = self.engine.image_policy if self.engine is not None else None
        return ImagePolicy.of(self.allow_image_urls, self.image_dirs, otherwise=given)

    def _load_config(self) -> LoadConfig:
        return LoadConfig.of(self)

    def _engine(self) -> Engine:
        return self.engine or self._leases.get(self.model, self._load_config())

    async def _aengine(self) -> Engine:
        return self.engine or await self._leases.aget(self.model, self._load_config())


def _tools(forms: Iterable[Mapping[str, Any]]) -> Iterable[Tool]:
    """Tools in OpenAI's form as the backend's."""
    for form in forms:
        function = form.get("function", form)
        given = {key: function[key] for key in ("description", "parameters") if function.get(key)}
        yield Tool(name=str(function["name"]), **given)


def _schema(form: type[BaseModel] | JsonSchema | None) -> JsonSchema | None:
    return schema_of_class(form) if isinstance(form, type) else form
