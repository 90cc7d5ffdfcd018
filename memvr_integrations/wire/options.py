"""What `ChatMemVR` and `MemVRMultiModalLLM` are both given, each option declared once."""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

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
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from memvr_integrations.backend.hosting.catalog import find
from memvr_integrations.backend.hosting.catalog_row import cached, written_context
from memvr_integrations.backend.hosting.load_config import Dtype, LoadConfig, Quantization
from memvr_integrations.backend.serving.registry import Leases
from memvr_integrations.checks import check_options
from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.explain.engine import explainer
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.types import Chunk, Completion, Message, Request, SamplingParams
from memvr_integrations.types.decoding import DecodingConfig, read_decoding
from memvr_integrations.types.engine import Engine, Identity
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.types.requests import read_logit_bias
from memvr_integrations.wire import retries
from memvr_integrations.wire.identity import identity_of
from memvr_integrations.wire.presets import read_setting
from memvr_integrations.wire.requests import SAMPLING, TOOLS, stops, streamable, to_request

if TYPE_CHECKING:
    from memvr_integrations.explain import ExplainConfig, Explanation

PER_CALL = (*SAMPLING, "model", "memvr", "decoding", "timeout", "logprobs")
"""The options that a single call may set."""


class KnownOptions(BaseModel):
    """A pydantic mixin: an option that the class has not is refused, and says what was meant."""

    @model_validator(mode="before")
    @classmethod
    def _know_every_option(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        fields = cls.model_fields
        known = {*fields, *(field.alias for field in fields.values() if field.alias)}
        check_options(cls.__name__, values, known)
        return values


class ModelOptions(KnownOptions):
    """A pydantic mixin of a framework's model class: the options, and requests made of them.

    Torch comes in with the first model, not with an object.
    """

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        defer_build=True,  # a class is imported quickly, and made ready by its first object
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
    stop: tuple[str, ...] = ()
    seed: StrictInt | None = None
    n: StrictInt = SamplingParams.n
    presence_penalty: StrictFloat = SamplingParams.presence_penalty
    frequency_penalty: StrictFloat = SamplingParams.frequency_penalty
    logit_bias: dict[int, float] | None = None
    min_tokens: StrictInt = SamplingParams.min_tokens
    stop_token_ids: tuple[StrictInt, ...] = ()
    top_logprobs: StrictInt = SamplingParams.top_logprobs
    timeout: StrictFloat | None = None
    max_retries: StrictInt = Field(default=2, ge=0)
    logprobs: StrictBool = True
    device: str = "auto"
    dtype: Dtype = "auto"
    quantization: Quantization | None = None
    attention: str | None = None
    revision: str | None = None
    image_policy: InstanceOf[ImagePolicy] | dict[str, Any] | None = None
    engine: SkipValidation[Engine | None] = Field(default=None, exclude=True, repr=False)

    _leases: Leases = PrivateAttr(default_factory=Leases)

    @field_validator("model", mode="before")
    @classmethod
    def _read_model(cls, value: object) -> object:
        if value == "":
            raise ConfigError("model='' names none; give a catalog name, a folder or a hub id.")
        return _written_name(value) if isinstance(value, Path) else value

    @field_validator("stop", "memvr", "decoding", "image_policy", "logit_bias", mode="before")
    @classmethod
    def _read(cls, value: object, info: ValidationInfo) -> object:
        return _READERS[str(info.field_name)](value)

    @field_validator("engine", mode="before")
    @classmethod
    def _read_engine(cls, value: object) -> object:
        if not (value is None or hasattr(value, "astream")):
            raise ConfigError(f"engine={value!r} is no engine; give Backend.load(...).")
        return value

    @field_serializer("memvr", "decoding", "image_policy")
    def _as_data(self, value: object) -> object:
        if isinstance(value, MemVRConfig | DecodingConfig | ImagePolicy):
            return value.to_dict()
        return value

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        self._to_request([Message("user", "")], {})
        if self.engine is None:
            self._load_config()
        return self

    def __getstate__(self) -> dict[Any, Any]:
        """Refuse where the engine could not come along: another model would answer."""
        if self.engine is not None:
            raise ConfigError(
                f"A {type(self).__name__} that was given an engine= can't be pickled; give it a "
                "model= instead."
            )
        return super().__getstate__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy over the same engine."""
        memo = {} if memo is None else memo
        memo[id(self.engine)] = self.engine
        return super().__deepcopy__(memo)

    def unload(self) -> None:
        """Give the model back; when nobody else uses it, its memory is freed."""
        self._leases.release()

    # A call's own options come before the object's.

    def _check_call(self, options: Mapping[str, Any], *also: str) -> None:
        check_options(f"A call of {type(self).__name__}", options, (*PER_CALL, *TOOLS, *also))
        if not isinstance(options.get("logprobs", True), bool):
            raise RequestError(f"logprobs={options['logprobs']!r} must be True or False.")

    def _option(self, options: Mapping[str, Any], name: str) -> Any:
        return options[name] if name in options else getattr(self, name)

    def _to_request(self, messages: Sequence[Message], options: Mapping[str, Any]) -> Request:
        chosen = {name: getattr(self, name) for name in PER_CALL} | dict(options)
        if chosen["top_logprobs"] and not chosen["logprobs"]:
            raise RequestError(
                f"top_logprobs={chosen['top_logprobs']!r} needs logprobs=True; set that, or "
                "top_logprobs=0."
            )
        return to_request(messages, chosen, _read_policy(self.image_policy))

    def _policy(self) -> ImagePolicy:
        """Which pictures may come in."""
        given = _read_policy(self.image_policy)
        if given is None and self.engine is not None:
            return self.engine.image_policy
        return given or ImagePolicy()

    # The engine, and its answers.

    def _answer(self, request: Request, options: Mapping[str, Any]) -> Completion:
        return retries.ask(self._engine(options), request, self.max_retries)

    async def _aanswer(self, request: Request, options: Mapping[str, Any]) -> Completion:
        return await retries.aask(await self._aengine(options), request, self.max_retries)

    def _chunks(self, request: Request, options: Mapping[str, Any]) -> Generator[Chunk, None, None]:
        request = streamable(request)  # a refused one must not load the model first
        return retries.chunks(self._engine(options), request, self.max_retries)

    async def _achunks(
        self, request: Request, options: Mapping[str, Any]
    ) -> AsyncGenerator[Chunk, None]:
        request = streamable(request)
        return retries.achunks(await self._aengine(options), request, self.max_retries)

    def _explain(
        self,
        request: Request,
        answer: Completion | None,
        config: "ExplainConfig | None",
        options: Mapping[str, Any],
    ) -> "Explanation":
        return explainer(self._engine(options)).explain(request, answer, config=config)

    async def _aexplain(
        self,
        request: Request,
        answer: Completion | None,
        config: "ExplainConfig | None",
        options: Mapping[str, Any],
    ) -> "Explanation":
        engine = explainer(await self._aengine(options))
        return await engine.aexplain(request, answer, config=config)

    def _engine(self, options: Mapping[str, Any]) -> Engine:
        given = self._given(options)
        return given or self._leases.get(self._name(options), self._load_config())

    async def _aengine(self, options: Mapping[str, Any]) -> Engine:
        given = self._given(options)
        return given or await self._leases.aget(self._name(options), self._load_config())

    def _given(self, options: Mapping[str, Any]) -> Engine | None:
        """The engine of one's own, unless the call names another model."""
        if self.engine is None or "model" not in options:
            return self.engine
        name = self._name(options)
        own = name == self.model and "model" in self.model_fields_set
        return self.engine if own or name == self.engine.name else None

    def _name(self, options: Mapping[str, Any]) -> str:
        name = options.get("model", self.model)
        if not isinstance(name, str | Path) or not str(name):
            raise RequestError(f"model={name!r} must be a catalog name, a folder or a hub id.")
        return _written_name(name)

    def _load_config(self) -> LoadConfig:
        return LoadConfig(
            device=self.device,
            dtype=self.dtype,
            quantization=self.quantization,
            attention=self.attention,
            revision=self.revision,
            memvr=self.memvr not in (None, False),
        )

    # Which model answers: never what the class has where nothing is said.

    def _identity(self, options: Mapping[str, Any]) -> Identity:
        """Which model answers; it is loaded only if nothing else says which one it is."""
        given, name, config = self._given(options), self._name(options), self._load_config()
        if given is None and not self._leases.shares(name, config):
            # Torch knows the device, and with it the precision, that "auto" means.
            from memvr_integrations.backend.hosting.loading import origin_here

            origin = origin_here(name, config)
            if origin is not None and (key := origin.key()):
                return Identity(name=self._answering(options), key=key, durable=True)
        return identity_of(given or self._engine(options))

    def _answering(self, options: Mapping[str, Any]) -> str:
        """The name of the model that answers, which a given engine knows best."""
        if given := self._given(options):
            return given.name
        row = find(self._name(options))
        return row.name if row else self._name(options)

    def _abstention(self, options: Mapping[str, Any]) -> float | None:
        """The threshold that was measured on the model that answers."""
        if given := self._given(options):
            return getattr(given, "abstention", None)
        row = find(self._name(options))
        return row.abstention if row else None

    def _known_context(self, options: Mapping[str, Any]) -> int | None:
        """How many tokens the model reads, as far as this machine knows: no weights are loaded."""
        if given := self._given(options):
            return given.context
        name = self._name(options)
        row = find(name)
        source = Path(row.checkpoint if row else name)
        pinned = self.revision or (row.revision if row else None) or "main"
        folder = source if source.is_dir() else cached(str(source), pinned)
        if written := written_context(folder) or (row.context if row else None):
            return written
        if not (folder / "config.json").exists():
            return None
        # The settings of other models need transformers, which knows what a file leaves out.
        from memvr_integrations.backend.hosting.loading import context_of

        return context_of(str(folder))

    def _context(self, options: Mapping[str, Any]) -> int:
        """How many tokens the model reads, by its settings; the hub is asked if need be.

        Raises:
            ModelNotFoundError: Nothing is called so, or the hub can't be reached.
        """
        if known := self._known_context(options):
            return known
        from memvr_integrations.backend.hosting.loading import context_of

        return context_of(self._name(options), self.revision)


def _written_name(name: str | Path) -> str:
    """A path stays one in writing, also if it is called like a model of the catalog."""
    return f"./{name}" if isinstance(name, Path) and find(str(name)) else str(name)


def _read_policy(value: object) -> ImagePolicy | None:
    if value is None or isinstance(value, ImagePolicy):
        return value
    if isinstance(value, Mapping):
        return ImagePolicy.from_dict(value)
    raise ConfigError(
        f"image_policy={value!r} must be None, ImagePolicy(...) or a dict of its fields."
    )


_READERS: dict[str, Callable[[object], object]] = {
    "stop": stops,
    "memvr": read_setting,
    "decoding": read_decoding,
    "image_policy": _read_policy,
    "logit_bias": read_logit_bias,
}
"""What makes a config of each option as it may be written."""
