"""One arming for the life of a model, for an engine that runs the model's forwards itself.

`retracing` reads from a stranger's calls what they are; here the caller says it: which rows a
forward has, by which plan, and how its positions lie.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.memvr.arming.calls import states_in
from memvr_integrations.memvr.arming.opening import fitting_memory, usable_rows
from memvr_integrations.memvr.choosing import ChosenProbe
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.memvr.forward import Layout, Method, Pass
from memvr_integrations.memvr.memory import VisualMemory
from memvr_integrations.memvr.plan import Plan, formula


class ArmedModel:
    """A model with hooks in the layers that a plan probes; outside of `acting` they do nothing.

    They stay from one forward to the next with the same layers: `detach` takes them off, and so
    leaves the model as it was found. `choose` has the probe of a formula.
    """

    def __init__(self, model: nn.Module, choose: Callable[[MemVRConfig], ChosenProbe]) -> None:
        """Find the model's parts.

        Raises:
            UnsupportedModelError: The model lacks a part that MemVR needs.
        """
        self._model, self._choose = model, choose
        self._anatomy = find_anatomy(model)
        self._methods: dict[MemVRConfig, Method] = {}
        self._pass: Pass | None = None
        self._rows = 0
        self._twin = False
        self._hooked: tuple[int, ...] = ()
        self._handles: list[RemovableHandle] = []
        self._awaited: RemovableHandle | None = None

    def detach(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._hooked = ()

    def _hook(self, layers: tuple[int, ...]) -> None:
        self.detach()
        for layer in layers:
            probe = functools.partial(self._probe, layer)
            self._handles.append(self._anatomy.layers[layer].register_forward_hook(probe))
        self._hooked = layers

    def _unhook(self) -> None:
        if self._awaited is not None:
            self._awaited.remove()
            self._awaited = None

    def plan(
        self, images: Sequence[Sequence[Tensor]], configs: Sequence[MemVRConfig | None]
    ) -> Plan | None:
        """Lay out the rows of a prompt; None where none of them can trigger.

        `images` has a row's visual tokens, a tensor (tokens, dim) an image or tile.

        Raises:
            ConfigError: A window does not fit the decoder, or the settings have two formulas.
            UnsupportedModelError: The features have another width than the decoder.
        """
        if not any(config and own for config, own in zip(configs, images, strict=True)):
            return None
        read: Tensor = self._model.get_input_embeddings().weight  # type: ignore[operator]
        memory = fitting_memory(
            VisualMemory.from_rows(images), read.device, read.dtype, read.shape[-1]
        )
        return Plan.build(
            memory,
            configs,
            usable_rows(memory, configs),
            depth=len(self._anatomy.layers),
            magnitude=self._anatomy.magnitude,
        )

    @contextmanager
    def acting(
        self,
        plan: Plan,
        config: MemVRConfig,
        layout: Layout,
        *,
        twin: bool = False,
        sync_free: bool = False,
    ) -> Iterator[Pass]:
        """Within the `with`, one forward of the model follows `plan`; the pass has its decisions.

        `config` is any of the rows' settings: those that they share count. With `twin`, which is
        for a prompt alone, what is retraced goes on once more as it would have been: from there
        on the model has a second row, which is plain. `sync_free` never waits for the device.

        Raises:
            UnsupportedModelError: The forward ran without calling its layers as modules.
        """
        method = self._method(config)
        method = replace(method, sync_free=True) if sync_free else method
        self._pass = Pass(method, plan, layout)
        self._rows, self._twin = plan.able.shape[0], twin
        if self._hooked != plan.layers:
            self._hook(plan.layers)
        try:
            yield self._pass
            if not self._pass.followed:
                raise UnsupportedModelError(
                    f"{type(self._model).__name__} ran without calling its decoder layers or "
                    "their `.mlp` as modules, so it was not retraced. Pass memvr=None to run it "
                    "plain."
                )
        finally:
            self._pass = None
            self._unhook()

    def _method(self, config: MemVRConfig) -> Method:
        known = self._methods.get(config)
        if known is None:
            shared = formula(config)
            chosen = self._choose(shared)
            norm = None if chosen.norms else self._anatomy.norm
            known = Method(config=shared, norm=norm, probe=chosen.probe)
            self._methods[config] = known
        return known

    def _probe(self, layer: int, module: nn.Module, args: tuple[object, ...], out: object) -> None:
        acting = self._pass
        if acting is not None and not acting.done:
            acting.probe(layer, self._own(states_in(out, module)))
            if acting.retraces:
                # A module is called more quickly without hooks, so most FFNs have none.
                retrace = functools.partial(self._retrace, layer + 1)
                self._unhook()
                self._awaited = self._anatomy.ffns[layer + 1].register_forward_hook(retrace)

    def _own(self, states: Tensor) -> Tensor:
        """The plan's rows, without a twin after them; a slice costs as much as an operation."""
        return states if len(states) == self._rows else states[: self._rows]

    def _retrace(
        self, layer: int, module: nn.Module, args: tuple[object, ...], out: object
    ) -> object:
        acting = self._pass
        self._unhook()
        if acting is None or not acting.retraces:
            return out
        plain = states_in(out, module)
        own = self._own(plain)
        mixed = acting.retrace(layer, self._own(states_in(args, module)), own)
        if len(plain) > self._rows:
            mixed = torch.cat([mixed, plain[self._rows :]])
        elif self._twin:
            # The residual that it is added to is the same for both.
            mixed = torch.cat([mixed, own])
        return (mixed, *out[1:]) if isinstance(out, tuple) else mixed
