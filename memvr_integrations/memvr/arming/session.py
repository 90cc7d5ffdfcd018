"""The hooks of one arming: they follow the model from its prompt through every decoded token."""

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from memvr_integrations.errors import ArmingError, UnsupportedModelError
from memvr_integrations.memvr.arming.anatomy import Anatomy
from memvr_integrations.memvr.arming.calls import Call, cache_in, frame_of, states_in
from memvr_integrations.memvr.arming.opening import (
    bring_memory,
    fitting_memory,
    repeats_in_batch,
    usable_rows,
    warn_plain,
)
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.memvr.forward import Method, Pass
from memvr_integrations.memvr.frames import Frame
from memvr_integrations.memvr.memory import VisualMemory
from memvr_integrations.memvr.plan import Plan
from memvr_integrations.memvr.trace import StepLog, Trace

# Made once, because a compiled forward cannot make one.
_DECODING = Frame(width=1)


@dataclass
class _Request:
    """One prompt and what is decoded from it."""

    plan: Plan
    cache: object
    rows: int
    log: StepLog | None = None


class Session:
    """The hooks of one arming and what they remember from pass to pass."""

    def __init__(
        self,
        model: nn.Module,
        anatomy: Anatomy,
        method: Method,
        configs: Sequence[MemVRConfig | None],
        memory: VisualMemory | None,
        trace: Trace,
    ) -> None:
        """Prepare to follow `model`; `attach` puts the hooks in."""
        self._model = model
        self._anatomy = anatomy
        self._method = method
        self._configs = configs
        self._memory = memory
        self._trace = trace
        self._parameters = list(inspect.signature(model.forward).parameters)
        self._handles: list[RemovableHandle] = []
        self._replaced: list[tuple[nn.Module, str, object]] = []
        self._encoded: object = None
        self._generating = False
        self._prompt: Tensor | None = None
        self._prompt_length: int | None = None
        self._opening: Call | None = None
        self._request: _Request | None = None
        self._frame = _DECODING
        self._pass: Pass | None = None
        self._running = False

    # -- attaching

    def attach(self, layers: Sequence[int]) -> None:
        """Hook the model so that `layers` are probed and those after them retraced."""
        model, anatomy, keep = self._model, self._anatomy, self._handles.append
        keep(anatomy.decoder.register_forward_pre_hook(self._enter, with_kwargs=True))
        for layer in layers:
            probe = functools.partial(self._probe, layer)
            keep(anatomy.layers[layer].register_forward_hook(probe))
        for layer in layers:
            retrace = functools.partial(self._retrace, layer + 1)
            keep(anatomy.ffns[layer + 1].register_forward_hook(retrace))
        # A graph that was compiled while the model was plain ignores hooks on inner modules; that
        # it starts from another function keeps it from being used here, and ours from later use.
        self._replace(model, "forward", self._forward)
        self._replace(anatomy.vision, "get_image_features", self._encode)
        if hasattr(model, "generate"):
            self._replace(model, "generate", self._generate)

    def detach(self) -> None:
        """Take everything off the model again."""
        for handle in self._handles:
            handle.remove()
        for owner, name, before in reversed(self._replaced):
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        self._trace.open_log(None)

    def _replace(self, owner: nn.Module, name: str, instead: Callable[..., object]) -> None:
        original: Callable[..., object] = getattr(owner, name)

        # `generate` reads the signature of all three, which `wraps` keeps.
        @functools.wraps(original)
        def wrapper(*args: object, **kwargs: object) -> object:
            return instead(original, *args, **kwargs)

        self._replaced.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, wrapper)

    # -- around the model's own methods

    def _encode(self, original: Callable[..., object], *args: object, **kwargs: object) -> object:
        self._encoded = original(*args, **kwargs)
        return self._encoded

    def _generate(self, original: Callable[..., object], *args: object, **kwargs: object) -> object:
        if self._generating:
            raise ArmingError(
                "generate() was called while another generate() of this armed model runs, from a "
                "thread or as its own draft model. Run them one after the other."
            )
        given = dict(zip(inspect.signature(original).parameters, args, strict=False)) | kwargs
        if not self._method.sync_free:
            # Waiting for the device breaks a compiled graph at every probe.
            if given.get("generation_config") is None:
                given["disable_compile"] = True
            else:
                given["generation_config"] = _uncompiled(given["generation_config"])
        ids = given.get("input_ids") if given.get("inputs") is None else given["inputs"]
        embeds = given.get("inputs_embeds")
        self._prompt = ids if isinstance(ids, Tensor) else None
        shown = embeds if isinstance(embeds, Tensor) else self._prompt
        self._prompt_length = None if shown is None else shown.shape[1]
        self._generating, self._request = True, None
        try:
            return original(**given)
        finally:
            self._generating, self._running, self._request = False, False, None
            self._prompt = self._prompt_length = None

    def _forward(self, original: Callable[..., object], *args: object, **kwargs: object) -> object:
        self._begin(dict(zip(self._parameters, args, strict=False)) | kwargs)
        out = original(*args, **kwargs)
        self._end(out)
        return out

    # -- one forward pass, in the order in which it runs

    def _begin(self, arguments: dict[str, object]) -> None:
        self._running, self._pass, self._opening = True, None, None
        self._frame = _DECODING
        call, request = Call.read(arguments), self._request
        if request is None or self._is_new(call, request):
            self._opening, self._request, self._encoded = call, None, None
            return
        if request.rows != call.rows:
            raise ArmingError(
                f"The batch changed from {request.rows} to {call.rows} rows between two tokens. "
                "Arm each batch of rows on its own."
            )
        if call.width > 1:
            self._frame = Frame(width=call.width)

    def _enter(
        self, module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        if not self._running:
            raise ArmingError(
                f"The decoder of an armed {type(self._model).__name__} was called on its own. "
                "Call the whole model, so that its images are seen."
            )
        if self._opening is not None:
            self._request = self._open(self._opening, kwargs.get("inputs_embeds"))
        if self._request is not None:
            self._pass = Pass(self._method, self._request.plan, self._frame)

    def _probe(self, layer: int, module: nn.Module, args: tuple[object, ...], out: object) -> None:
        if self._pass is not None:
            self._pass.probe(layer, states_in(out, module))

    def _retrace(
        self, layer: int, module: nn.Module, args: tuple[object, ...], out: object
    ) -> object:
        if self._pass is None:
            return out
        mixed = self._pass.retrace(layer, states_in(args, module), states_in(out, module))
        return (mixed, *out[1:]) if isinstance(out, tuple) else mixed

    def _end(self, out: object) -> None:
        request, done = self._request, self._pass
        self._running, self._pass = False, None
        if request is None or done is None or not done.followed:
            raise UnsupportedModelError(
                f"{type(self._model).__name__} ran without calling its decoder layers or their "
                "`.mlp` as modules, so it was not retraced. If it was compiled before it was "
                "armed, compile it inside the `with`; or pass memvr=None to run it plain."
            )
        if torch.compiler.is_compiling() and request.log is not None:
            request.log.write(*done.outcome())
            return
        record = done.record()
        self._trace.record(record)
        if self._opening is not None:
            self._opening = None
            if request.cache is None and isinstance(out, Mapping):
                request.cache = cache_in(out)
            capacity = _fixed_capacity(request.cache) if self._method.sync_free else 0
            request.log = StepLog(record, capacity) if capacity else None
            self._trace.open_log(request.log)

    # -- requests

    def _is_new(self, call: Call, request: _Request) -> bool:
        """Whether a new prompt begins, or the old one goes on."""
        if call.cache is None or call.cache is not request.cache:
            if self._generating:
                raise ArmingError(
                    "generate() ran a second stream with a cache of its own (guidance_scale and "
                    "contrastive decoding do). Leave that option out, or pass memvr=None."
                )
            return True
        if self._generating or (call.width == 1 and self._method.sync_free):
            return False
        if call.past == 0:
            return True
        if call.width > 1:
            raise ArmingError(
                f"{call.width} positions follow a prompt outside generate(); whether they are "
                "drafts or more prompt cannot be known. Pass one at a time, or arm anew with "
                "memory=trace.memory."
            )
        return False

    def _open(self, call: Call, embeds: object) -> _Request:
        """Bind a new prompt to its images; a prompt may wait for the device."""
        self._frame = frame_of(call, self._prompt_length)
        memory = self._memory
        if memory is None:
            features = self._encoded if call.features is None else call.features
            memory = bring_memory(call, features, self._prompt, self._anatomy.image_token_id)
        else:
            memory = memory.repeat(repeats_in_batch(len(memory), call.rows, "memory"))
        if isinstance(embeds, Tensor):
            memory = fitting_memory(memory, embeds.device, embeds.dtype, embeds.shape[-1])
        self._trace.memory = memory if any(memory.images) else None
        repeats = repeats_in_batch(len(self._configs), call.rows, "config")
        configs = [config for config in self._configs for _ in range(repeats)]
        usable = usable_rows(memory, configs)
        if call.video and memory.features.shape[1] == 0:
            warn_plain("MemVR retraces images, and this prompt has a video alone")
        plan = Plan.build(
            memory,
            configs,
            usable,
            depth=len(self._anatomy.layers),
            magnitude=self._anatomy.magnitude,
        )
        return _Request(plan=plan, cache=call.cache, rows=call.rows)


def _uncompiled(settings: object) -> object:
    changed = copy.copy(settings)
    vars(changed)["disable_compile"] = True
    return changed


def _fixed_capacity(cache: object) -> int:
    if not getattr(cache, "is_compileable", False):
        return 0
    length = getattr(cache, "get_max_length", None)
    return max(0, int(length())) if callable(length) else 0
