"""A hosted model as the loop runs it: its streams, and MemVR in its layers."""

from contextlib import AbstractContextManager, nullcontext
from weakref import WeakKeyDictionary

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.masks import StepMasks
from memvr_integrations.backend.decoding.own_run import OwnRun
from memvr_integrations.backend.decoding.streams import SlotStream, Stream
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.memvr.arming.anatomy import Anatomy
from memvr_integrations.memvr.arming.armed import ArmedModel
from memvr_integrations.memvr.forward import Layout, Pass
from memvr_integrations.memvr.plan import Plan, formula
from memvr_integrations.memvr.uncertainty import ExactProbe, Probe


class Decoder:
    """One model, and what the loop keeps about it; only the inference thread touches it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.masks = StepMasks(host.model)
        self._armed: ArmedModel | None = None
        self._others: WeakKeyDictionary[Host, Decoder] = WeakKeyDictionary()

    @property
    def joinable(self) -> bool:
        """Whether rows can join and leave while others decode."""
        return self.host.unsupported is None and self.masks.joinable

    @property
    def armed(self) -> ArmedModel:
        """The model with hooks in its layers, from the first time that it is needed."""
        if self._armed is None:
            self._armed = ArmedModel(self.host.model, _probe)
        return self._armed

    def together(self, one: Row, other: Row) -> bool:
        """Whether two rows can be in one batch: their formulas are one, or MemVR is off in one."""
        formulas = {formula(row.config) for row in (one, other) if row.config is not None}
        return self.joinable and len(formulas) <= 1

    def stream(self) -> Stream:
        """A new stream."""
        return SlotStream(self.host, self.masks) if self.joinable else OwnRun(self.host)

    def acting(
        self, plan: Plan | None, config: MemVRConfig | None, layout: Layout
    ) -> AbstractContextManager[Pass | None]:
        """MemVR in one forward, where there is a plan."""
        if plan is None or config is None:
            return nullcontext()
        return self.armed.acting(plan, config, layout)

    def of(self, host: Host) -> "Decoder":
        """This decoder, or that of a student."""
        if host is self.host:
            return self
        if host not in self._others:
            self._others[host] = Decoder(host)
        return self._others[host]

    def release(self) -> None:
        """Leave the model as it was found."""
        if self._armed is not None:
            self._armed.detach()
            self._armed = None


def _probe(anatomy: Anatomy, config: MemVRConfig) -> Probe:
    return ExactProbe(anatomy.head, config.uncertainty, anatomy.softcap)
