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
    StrictFloat,
    StrictInt,
    field_serializer,
    field_validator,
    model_validator,
)

from memvr_integrations.backend.hosting.load_config import Dtype, LoadConfig, Quantization
from memvr_integrations.backend.hosting.loading import context_of
from memvr_integrations.backend.serving.registry import Leases
from memvr_integrations.checks import check_options
from memvr_integrations.errors import ConfigError, ModelNotFoundError, RequestError
from memvr_integrations.llama_index.llm.checks import KnownOptions
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Message, Request, SamplingParams
from memvr_integrations.types.decoding import DecodingConfig, read_decoding
from memvr_integrations.types.engine import Engine
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.types.tools import JsonSchema, Tool
from memvr_integrations.wire.classes import schema_of_class
from memvr_integrations.wire.presets import read_setting

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
    "decoding",
    "timeout",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
)


class LLMSettings(KnownOptions, FunctionCallingLLM):
    """The options of `MemVRMultiModalLLM`, checked; nothing here computes an answer."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    model: str | Path = "bundled"
    # As it may be written; the validators below make a config of texts, paths and dicts.
    memvr: InstanceOf[MemVRConfig] | dict[str, Any] | StrictBool | str | Path | None = True
    decoding: InstanceOf[DecodingConfig] | dict[str, Any] | str | None = None
    max_tokens: StrictInt = SamplingParams.max_tokens
    temperature: StrictFloat = SamplingParams.temperature
    top_p: StrictFloat = SamplingParams.top_p
    top_k: StrictInt = SamplingParams.top_k
    min_p: StrictFloat = SamplingParams.min_p
    repetition_penalty: StrictFloat = SamplingParams.repetition_penalty
    stop: str | Sequence[str] = ()
    seed: StrictInt | None = None
    timeout: StrictFloat | None = None
    max_retries: StrictInt = Field(default=2, ge=0)
    context_window: StrictInt | None = Field(default=None, ge=1)
    device: str = "auto"
    dtype: Dtype = "auto"
    quantization: Quantization | None = None
    attention: str | None = None
    revision: str | None = None
    allow_image_urls: StrictBool | Sequence[str] = False
    image_dirs: Sequence[str | Path] = ()
    engine: SkipValidation[Engine | None] = Field(default=None, exclude=True, repr=False)

    _leases: Leases = PrivateAttr(default_factory=Leases)

    @field_validator("model", mode="before")
    @classmethod
    def _path_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, Path) else value

    @field_validator("stop", "allow_image_urls", mode="after")
    @classmethod
    def _a_tuple(cls, value: bool | str | Sequence[str]) -> object:
        if isinstance(value, bool):
            return value
        return (value,) if isinstance(value, str) else tuple(value)

    @field_validator("engine", mode="before")
    @classmethod
    def _a_backend(cls, value: object) -> object:
        if not (value is None or hasattr(value, "astream")):
            raise ConfigError(f"engine={value!r} is no backend; give Backend.load(...).")
        return value

    @field_validator("image_dirs", mode="after")
    @classmethod
    def _folders(cls, value: Sequence[str | Path]) -> tuple[Path, ...]:
        if "" in value:
            raise ConfigError(f"image_dirs={value!r} holds an empty text; name a folder.")
        return tuple(map(Path, value))

    @field_validator("memvr", mode="before")
    @classmethod
    def _settings_as_config(cls, value: object) -> object:
        return read_setting(value)

    @field_validator("decoding", mode="before")
    @classmethod
    def _strategy_as_config(cls, value: object) -> DecodingConfig | None:
        return read_decoding(value)

    @field_serializer("decoding")
    def _strategy_as_data(self, value: DecodingConfig | None) -> dict[str, Any] | None:
        return value.to_dict() if value else None

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
            model_name=str(self.model),
        )

    def _known_window(self) -> int:
        if self.engine is not None:
            return self.engine.context
        try:
            return context_of(str(self.model), self.revision)
        except ModelNotFoundError:
            return DEFAULT_CONTEXT_WINDOW

    def _request(self, messages: Sequence[Message], options: Mapping[str, Any]) -> Request:
        # Images are an argument of its own, and what is misspelt most.
        known = (*_PER_CALL, "image_documents")
        check_options("A call of MemVRMultiModalLLM", options, known)
        return Request(
            messages=tuple(messages),
            sampling=SamplingParams(**{name: self._option(options, name) for name in _SAMPLING}),
            memvr=read_setting(self._option(options, "memvr")),
            decoding=self._option(options, "decoding"),
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
        hosts = self.allow_image_urls
        allowed = (("*",) if hosts else ()) if isinstance(hosts, bool) else hosts
        made = ImagePolicy(allowed_hosts=allowed, image_dirs=self.image_dirs)
        return given if given is not None and made == ImagePolicy() else made

    def _load_config(self) -> LoadConfig:
        return LoadConfig(
            device=self.device,
            dtype=self.dtype,
            quantization=self.quantization,
            attention=self.attention,
            revision=self.revision,
            memvr=self.memvr not in (None, False),
        )

    def _engine(self) -> Engine:
        return self.engine or self._leases.get(str(self.model), self._load_config())

    async def _aengine(self) -> Engine:
        return self.engine or await self._leases.aget(str(self.model), self._load_config())


def _tools(forms: Iterable[Mapping[str, Any]]) -> Iterable[Tool]:
    """Tools in OpenAI's form as the backend's."""
    for form in forms:
        function = form.get("function", form) if isinstance(form, Mapping) else None
        if not isinstance(function, Mapping) or "name" not in function:
            raise RequestError(
                f"The tool {form!r} is not in OpenAI's form; give tools to chat_with_tools([...])."
            )
        given = {key: function[key] for key in ("description", "parameters") if function.get(key)}
        yield Tool(name=str(function["name"]), **given)


def _schema(form: type[BaseModel] | JsonSchema | None) -> JsonSchema | None:
    if not isinstance(form, type):
        return form
    if not issubclass(form, BaseModel):
        raise RequestError(
            f"response_format={form.__name__} is no class of pydantic; give one, or a JSON schema."
        )
    return schema_of_class(form)
