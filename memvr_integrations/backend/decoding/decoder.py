"""A hosted model as the loop runs it: its streams, and MemVR in its layers."""

from contextlib import AbstractContextManager, nullcontext

from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from memvr_integrations.backend.decoding.caches.captured import Capture, Capturing
from memvr_integrations.backend.decoding.caches.masks import StepMasks
from memvr_integrations.backend.decoding.caches.prefixes import PrefixStore
from memvr_integrations.backend.decoding.caches.streams import SlotStream, Stream
from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.own_run import OwnRun
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.origin import touched
from memvr_integrations.backend.hosting.proven import READ_LEFT_TO_RIGHT
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.memvr.arming.armed import ArmedModel
from memvr_integrations.memvr.choosing import ChosenProbe, ProbeKind, choose_probe
from memvr_integrations.memvr.config import Uncertainty
from memvr_integrations.memvr.forward import Layout, Pass
from memvr_integrations.memvr.plan import Plan, formula

# It decides otherwise than "exact" where a token that matters later is none of the first layer's
# best; `python -m memvr_integrations.evaluate.costs.probes` counts how often.
DEFAULT_PROBE: ProbeKind = "reuse"


class Decoder:
    """One model, and what the loop keeps about it; only the inference thread touches it."""

    def __init__(
        self,
        host: Host,
        prefix_bytes: int = 0,
        probe: ProbeKind = DEFAULT_PROBE,
        capture: Capture | None = None,
    ) -> None:
        self.host, self._probe_kind = host, probe
        self.capturing = None if capture is None else Capturing(capture, host.name)
        self._chosen: dict[tuple[Uncertainty, bool], ChosenProbe] = {}
        self.masks = StepMasks(host.model)
        self.prefixes = PrefixStore(prefix_bytes * self._reusable)
        self._armed: ArmedModel | None = None
        self._state = touched(host.model), _hooks(host.model)
        self._others: dict[Host, Decoder] = {}
        self._said: dict[str, str | dict[str, float]] | None = None

    @property
    def joinable(self) -> bool:
        """Whether rows can join and leave while others decode."""
        return self.host.unsupported is None and self.masks.joinable

    @property
    def _reusable(self) -> bool:
        """Whether the keys and values of a prompt depend on nothing that follows it."""
        own = DynamicCache(config=self.host.model.config).layers
        causal = self.host.model.config.model_type in READ_LEFT_TO_RIGHT
        return self.joinable and causal and all(isinstance(one, DynamicLayer) for one in own)

    def arm(self) -> ArmedModel:
        """The model with hooks in its layers, from the first time that it is needed."""
        if self._armed is None:
            self._armed = ArmedModel(self.host.model, self.choose_probe)
        return self._armed

    def choose_probe(self, config: MemVRConfig) -> ChosenProbe:
        """The probe of a formula, of the kind that was asked for.

        The first time takes seconds on large heads.
        """
        key = config.uncertainty, config.norm_before_head
        if key not in self._chosen:
            anatomy = find_anatomy(self.host.model)
            self._chosen[key] = choose_probe(
                self._probe_kind,
                anatomy.head,
                norm=anatomy.norm if config.norm_before_head else None,
                softcap=anatomy.softcap,
                form=config.uncertainty,
            )
            self._said = self._said or self._chosen[key].to_dict()
        return self._chosen[key]

    def note_model(self) -> None:
        """Take the model as it is now for its own: models hook their parts when they first run."""
        if self._armed is not None:
            self._armed.detach()
        self._state = touched(self.host.model), _hooks(self.host.model)

    def check_model(self) -> None:
        """Forget what was made of a model that others changed since.

        That is what it read and saw, and copies of its head's weights where those changed.
        """
        if self._armed is not None:
            self._armed.detach()  # what is hooked to it now is others'
        state = touched(self.host.model), _hooks(self.host.model)
        if state == self._state:
            return
        self.prefixes.clear()
        if self.host.vision is not None:
            self.host.vision.forget()
        if state[0] != self._state[0]:
            self._chosen.clear()
            self._armed = None
        self._state = state

    @property
    def chosen(self) -> dict[str, str | dict[str, float]] | None:
        """The usual probe, and why it is this one; None as long as none was chosen."""
        return self._said

    def together(self, one: Row, other: Row) -> bool:
        """Whether two rows can be in one batch: their formulas are one, or MemVR is off in one."""
        if self.alone(one) or self.alone(other):
            return False
        formulas = {formula(row.config) for row in (one, other) if row.config is not None}
        return len(formulas) <= 1

    def alone(self, row: Row) -> bool:
        """Whether a row can't be computed together with others, nor join them."""
        most = self.masks.most
        too_long = most is not None and row.prompt.length + row.most > most
        return not self.joinable or too_long

    def stream(self, *, alone: bool = False) -> Stream:
        """A new stream; of one row `alone`, if need be."""
        together = self.joinable and not alone
        return SlotStream(self.host, self.masks) if together else OwnRun(self.host)

    def acting(
        self,
        plan: Plan | None,
        config: MemVRConfig | None,
        layout: Layout,
        *,
        twin: bool = False,
        sync_free: bool = False,
    ) -> AbstractContextManager[Pass | None]:
        """MemVR in one forward, where there is a plan: `ArmedModel.acting`."""
        if plan is None or config is None:
            if self._armed is not None:
                self._armed.detach()
            return nullcontext()
        return self.arm().acting(plan, config, layout, twin=twin, sync_free=sync_free)

    def of(self, host: Host) -> "Decoder":
        """This decoder, or that of a student."""
        if host is self.host:
            return self
        if host not in self._others:
            self._others[host] = Decoder(host)
        return self._others[host]

    def release(self) -> None:
        """Leave the model as it was found, and let it go."""
        for other in self._others.values():
            other.release()
        self._others.clear()
        self._chosen.clear()
        self.prefixes.clear()
        if self._armed is not None:
            self._armed.detach()
            self._armed = None


def _hooks(model: nn.Module) -> tuple[int, ...]:
    return tuple(
        handle
        for module in model.modules()
        for handles in (module._forward_hooks, module._forward_pre_hooks)
        for handle in handles
    )
