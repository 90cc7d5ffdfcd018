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

from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr.arming.anatomy import Anatomy, find_anatomy
from memvr_integrations.memvr.arming.calls import states_in
from memvr_integrations.memvr.arming.opening import fitting_memory, usable_rows
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.memvr.forward import Layout, Method, Pass
from memvr_integrations.memvr.memory import VisualMemory
from memvr_integrations.memvr.plan import Plan, formula
from memvr_integrations.memvr.probes import Probe


class ArmedModel:
    """A model whose layers stay hooked; outside of `acting` it runs as if they were not.

    `probe` makes the probe of a formula. `detach` leaves the model as it was found.
    """

    def __init__(self, model: nn.Module, probe: Callable[[Anatomy, MemVRConfig], Probe]) -> None:
        """Hook all layers.

        Raises:
            UnsupportedModelError: The model lacks a part that MemVR needs.
        """
        self._model, self._make_probe = model, probe
        self._anatomy = find_anatomy(model)
        self._methods: dict[MemVRConfig, Method] = {}
        self._pass: Pass | None = None
        self._rows = 0
        self._twin = False
        self._probed: frozenset[int] = frozenset()
        self._handles = []
        for at, (layer, ffn) in enumerate(
            zip(self._anatomy.layers, self._anatomy.ffns, strict=True)
        ):
            probing = functools.partial(self._probe, at)
            retracing = functools.partial(self._retrace, at)
            self._handles += [
                layer.register_forward_hook(probing),
                ffn.register_forward_hook(retracing),
            ]

    def detach(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

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
        self._pass = Pass(replace(method, sync_free=sync_free), plan, layout)
        self._rows, self._twin = plan.able.shape[0], twin
        self._probed = frozenset(plan.layers)
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

    def _method(self, config: MemVRConfig) -> Method:
        known = self._methods.get(config)
        if known is None:
            shared = formula(config)
            probe = self._make_probe(self._anatomy, shared)
            known = Method(config=shared, norm=self._anatomy.norm, probe=probe)
            self._methods[config] = known
        return known

    def _probe(self, layer: int, module: nn.Module, args: tuple[object, ...], out: object) -> None:
        acting = self._pass
        if acting is not None and layer in self._probed:
            acting.probe(layer, states_in(out, module)[: self._rows])

    def _retrace(
        self, layer: int, module: nn.Module, args: tuple[object, ...], out: object
    ) -> object:
        acting = self._pass
        if acting is None or not acting.retraces:
            return out
        plain = states_in(out, module)
        own, twins = plain[: self._rows], plain[self._rows :]
        mixed = acting.retrace(layer, states_in(args, module)[: self._rows], own)
        if self._twin and not len(twins):
            twins = own  # the residual that it is added to is the same for both
        mixed = torch.cat([mixed, twins]) if len(twins) else mixed
        return (mixed, *out[1:]) if isinstance(out, tuple) else mixed
