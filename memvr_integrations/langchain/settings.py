"""What a chat model is made of: its options, and how they and a call become a request."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import BaseMessage, HumanMessage
from pydantic import (
    ConfigDict,
    Field,
    InstanceOf,
    PrivateAttr,
    SecretStr,
    SkipValidation,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from memvr_integrations import __version__
from memvr_integrations.backend.hosting.catalog import find
from memvr_integrations.backend.hosting.load_config import Dtype, LoadConfig, Quantization
from memvr_integrations.backend.hosting.loading import context_of
from memvr_integrations.backend.serving.registry import Leases
from memvr_integrations.checks import check_options
from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.langchain.answers import PROVIDER
from memvr_integrations.langchain.messages import to_messages
from memvr_integrations.langchain.options import (
    to_choice,
    to_schema,
    to_tools,
)
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Request, SamplingParams
from memvr_integrations.types.decoding import DecodingConfig, read_decoding
from memvr_integrations.types.engine import Engine
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.wire.presets import read_setting

_SAMPLING = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "seed",
    "n",
)
_PER_CALL = (*_SAMPLING, "model", "memvr", "decoding", "timeout", "logprobs", "stream_usage")
_BOUND = ("tools", "tool_choice", "parallel_tool_calls", "response_format", "strict")


class ChatSettings(BaseChatModel):
    """The options of `ChatMemVR`, checked; nothing here computes an answer."""

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, arbitrary_types_allowed=True, protected_namespaces=()
    )

    model: str = "bundled"
    # As it may be written; the validators below make a config of texts, paths and dicts.
    memvr: InstanceOf[MemVRConfig] | dict[str, Any] | StrictBool | str | Path | None = True
    decoding: InstanceOf[DecodingConfig] | dict[str, Any] | str | None = None
    max_tokens: StrictInt = SamplingParams.max_tokens
    temperature: StrictFloat = SamplingParams.temperature
    top_p: StrictFloat = SamplingParams.top_p
    top_k: StrictInt = SamplingParams.top_k
    min_p: StrictFloat = SamplingParams.min_p
    repetition_penalty: StrictFloat = SamplingParams.repetition_penalty
    stop: list[str] | None = Field(default=None, alias="stop_sequences")
    seed: StrictInt | None = None
    n: StrictInt = SamplingParams.n
    timeout: StrictFloat | None = None
    max_retries: StrictInt = Field(default=2, ge=0)
    api_key: SecretStr | None = Field(default=None, exclude=True)  # a local model needs none
    logprobs: bool = True
    streaming: bool = False
    stream_usage: bool = True
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
        fields = cls.model_fields
        known = {*fields, *(field.alias for field in fields.values() if field.alias)}
        check_options("ChatMemVR", values if isinstance(values, dict) else (), known)
        return values

    @field_validator("allow_image_urls", "image_dirs", mode="before")
    @classmethod
    def _a_tuple(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, str | Path):
            raise ValueError(f"{info.field_name}={str(value)!r} must be a tuple: ({str(value)!r},)")
        if isinstance(value, Sequence) and "" in value:
            raise ValueError(f"{info.field_name}={value!r} holds an empty text; name what it means")
        return value

    @field_validator("stop", mode="before")
    @classmethod
    def _several_stops(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("model", mode="before")
    @classmethod
    def _path_as_text(cls, value: object) -> object:
        if value == "":
            raise ValueError("model='' names none; give a catalog name, a folder or a hub id")
        return str(value) if isinstance(value, Path) else value

    @field_validator("memvr", mode="before")
    @classmethod
    def _settings_as_config(cls, value: object) -> object:
        return read_setting(value)

    @field_validator("decoding", mode="before")
    @classmethod
    def _strategy_as_config(cls, value: object) -> DecodingConfig | None:
        return read_decoding(value)

    @model_validator(mode="after")
    def _check_memvr_options(self) -> Self:
        if not (self.engine is None or hasattr(self.engine, "astream")):
            raise ConfigError(f"engine={self.engine!r} is no backend; give Backend.load(...).")
        self._request([HumanMessage("")], None, {})
        self._load_config()
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
        shown = {*_PER_CALL, "device", "dtype", "quantization", "attention", "revision"}
        options = {name: getattr(self, name) for name in sorted(shown)}
        return options | {"stop": self.stop, **self._settings_as_data()}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What a serialised model needs and plain fields don't say."""
        return {
            **self._settings_as_data(),
            "image_dirs": [str(path) for path in self.image_dirs],
        }

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `dumps` writes it."""
        return True

    def _settings_as_data(self) -> dict[str, Any]:
        memvr = asdict(self.memvr) if isinstance(self.memvr, MemVRConfig) else self.memvr
        decoding = read_decoding(self.decoding)
        return {"memvr": memvr, "decoding": decoding.to_dict() if decoding else None}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        if stop or self.stop:
            params["ls_stop"] = stop or self.stop
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        row = find(self.model)
        source = row.checkpoint if row else self.model
        # Not asked of the hub: making a model costs nothing.
        limit = ModelProfile()
        if Path(source).is_dir():
            limit["max_input_tokens"] = context_of(self.model)
        told = ModelProfile(
            name=row.name if row else self.model,
            open_weights=True,
            text_inputs=True,
            image_inputs=True,
            image_url_inputs=bool(self.allow_image_urls),
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
        told.update(limit)
        return told

    # From LangChain's words to the backend's.

    def _request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: Mapping[str, Any]
    ) -> Request:
        self._check_options(options)
        tools = options.get("tools") or ()
        memvr = self._option(options, "memvr")
        return Request(
            messages=to_messages(messages),
            sampling=self._sampling(_several(stop) or self.stop, options),
            memvr=read_setting(memvr),
            decoding=self._option(options, "decoding"),
            timeout=self._option(options, "timeout"),
            tools=to_tools(tools),
            tool_choice=to_choice(options.get("tool_choice"), tools),
            parallel_tool_calls=options.get("parallel_tool_calls") is not False,
            response_format=to_schema(options.get("response_format")),
            image_policy=self._policy(),
        )

    @staticmethod
    def _check_options(options: Mapping[str, Any]) -> None:
        # LangChain's own note for tracing, which it takes out before a call.
        ours = (name for name in options if name != "ls_structured_output_format")
        check_options("A call of ChatMemVR", ours, (*_PER_CALL, *_BOUND))
        for name in ("logprobs", "stream_usage"):
            if not isinstance(options.get(name, True), bool):
                raise RequestError(f"{name}={options[name]!r} must be True or False.")

    def _option(self, options: Mapping[str, Any], name: str) -> Any:
        return options[name] if name in options else getattr(self, name)

    def _sampling(self, stop: list[str] | None, options: Mapping[str, Any]) -> SamplingParams:
        chosen = {name: self._option(options, name) for name in _SAMPLING}
        return SamplingParams(stop=tuple(stop or ()), **chosen)

    def _policy(self) -> ImagePolicy:
        given = self.engine.image_policy if self.engine is not None else None
        hosts = self.allow_image_urls
        allowed = (("*",) if hosts else ()) if isinstance(hosts, bool) else hosts
        made = ImagePolicy(allowed_hosts=allowed, image_dirs=self.image_dirs)
        return given if given is not None and made == ImagePolicy() else made

    @staticmethod
    def _one(request: Request) -> Request:
        if request.sampling.n > 1:
            raise RequestError(
                f"n={request.sampling.n} answers can't be streamed into one; use n=1 or generate()."
            )
        return request

    def _name(self, options: Mapping[str, Any]) -> str:
        name = options.get("model", self.model)
        if not isinstance(name, str | Path) or not str(name):
            raise RequestError(f"model={name!r} must be a catalog name, a folder or a hub id.")
        return str(name)

    def _load_config(self) -> LoadConfig:
        return LoadConfig(
            device=self.device,
            dtype=self.dtype,
            quantization=self.quantization,
            attention=self.attention,
            revision=self.revision,
            memvr=self.memvr not in (None, False),
        )

    def _engine(self, options: Mapping[str, Any]) -> Engine:
        name = self._name(options)
        if self.engine is not None and name == self.model:
            return self.engine
        return self._leases.get(name, self._load_config())

    async def _aengine(self, options: Mapping[str, Any]) -> Engine:
        name = self._name(options)
        if self.engine is not None and name == self.model:
            return self.engine
        return await self._leases.aget(name, self._load_config())


def _several(stop: object) -> list[str] | None:
    """What `stop` may be for a call; one string is no list of letters."""
    if isinstance(stop, str):
        return [stop]
    if stop is None or (isinstance(stop, Sequence) and all(isinstance(s, str) for s in stop)):
        return list(stop or ())
    raise RequestError(f"stop={stop!r} must be a text or a list of texts.")
