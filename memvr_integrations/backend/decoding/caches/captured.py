"""Steps of rows that stay: captured once on a GPU, and replayed from there.

Launching the kernels of a step one by one can take a GPU longer than running them. A captured step
is launched as a whole, but it is always the same work on the same tensors: what changes from step
to step is read from the device (`SlotStream.within`, and MemVR's sync-free form), and a step is
captured anew when rows join or leave, or when their columns are full.
"""

import logging
from collections.abc import Callable, Set
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from memvr_integrations.backend.decoding.caches.streams import SlotStream, Stream
from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr.trace import Record

logger = logging.getLogger(__name__)

Made = TypeVar("Made")
Outcome = tuple[Tensor, Record | None]

# Capturing costs about four steps, and a replay saves perhaps half of one. Whoever waits as long
# as it takes to earn that back never pays more than twice what he had to.
_STAYED = 8
# The first run makes what is made once, such as workspaces; the second shows that nothing is left.
_WARM_UPS = 2


class Capture(Protocol):
    """Makes a callable that repeats what another one does on the device."""

    def __call__(self, run: Callable[[], Made]) -> Callable[[], Made]:
        """Run it, perhaps several times; what is returned does it again in the same tensors.

        Raises:
            Exception: Any, where it can't be captured.
        """


class GraphCapture:
    """Captures CUDA graphs on one device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, run: Callable[[], Made]) -> Callable[[], Made]:
        """Run it on a stream of its own, then capture it there."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            side, usual = torch.cuda.Stream(), torch.cuda.current_stream()
            side.wait_stream(usual)
            try:
                # Of its own, because the `with` of a capture that fails leaves its stream behind.
                with torch.cuda.stream(side):
                    for _ in range(_WARM_UPS):
                        run()
                    # Other threads may use the device meanwhile: this is not about them.
                    with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                        made = run()
            finally:
                usual.wait_stream(side)

        def replay() -> Made:
            with torch.cuda.device(self._device):
                graph.replay()
            return made

        return replay


def check_capture(devices: Set[torch.device]) -> None:
    """See that the steps of a model on these devices can be captured.

    Raises:
        ConfigError: It is not on one CUDA device.
    """
    if {device.type for device in devices} != {"cuda"} or len(devices) > 1:
        where = " and ".join(sorted(map(str, devices)))
        raise ConfigError(
            f"capture=True needs a model on one CUDA device, and this one is on {where}; leave "
            "capture out, or load it with device='cuda'."
        )


def graph_capture(model: PreTrainedModel) -> GraphCapture:
    """How steps of a model are captured.

    Raises:
        ConfigError: It is not on one CUDA device.
    """
    devices = {parameter.device for parameter in model.parameters()}
    check_capture(devices)
    return GraphCapture(devices.pop())


class Capturing:
    """Whether the steps of a model are captured, and how many were replayed so far.

    What fails once is not tried again.
    """

    def __init__(self, capture: Capture, name: str) -> None:
        """Capture the steps of the model with this name."""
        self._capture, self._name = capture, name
        self.works = True
        self.captured = self.replayed = 0

    def capture(self, run: Callable[[], Made]) -> Callable[[], Made]:
        """Capture one step.

        Raises:
            Exception: Any, where it can't be captured.
        """
        replay = self._capture(run)
        self.captured += 1
        return replay

    def give_up(self, error: Exception) -> None:
        """From now on all steps are computed as usual."""
        self.works = False
        logger.warning(
            "a step of %s can't be captured, so all are computed as usual (%s: %s)",
            self._name,
            type(error).__name__,
            " ".join(str(error).split())[:200],
        )


class _Replayed:
    """One captured step, and the tensors that it reads."""

    def __init__(self, room: int, tokens: Tensor) -> None:
        self.room, self.tokens = room, tokens.clone()
        self.again: Callable[[], Outcome]


class SteadySteps:
    """The steps of one group: captured when its rows have stayed for a while.

    Neither a capture nor a replay counts anything before it was done, so a step that fails is
    computed as usual.
    """

    def __init__(self, capturing: Capturing, stream: SlotStream) -> None:
        self._capturing, self._stream = capturing, stream
        self._replayed: _Replayed | None = None
        self._stayed = 0

    @classmethod
    def of(cls, capturing: Capturing | None, stream: Stream) -> "SteadySteps | None":
        """Those of a stream; None where they can't be captured."""
        if capturing is None or not isinstance(stream, SlotStream):
            return None
        return cls(capturing, stream)

    def changed(self) -> None:
        """Forget what was captured, as rows have joined or left."""
        self._replayed, self._stayed = None, 0

    def step(
        self, tokens: Tensor, forward: Callable[[Callable[[Tensor], Tensor], Tensor], Outcome]
    ) -> Outcome | None:
        """Read a token a row, (rows,): logits and record; None where it isn't replayed.

        `forward` does one step of the stream and says what MemVR did in it, without waiting for
        the device.
        """
        capturing, self._stayed = self._capturing, self._stayed + 1
        if not capturing.works or self._stayed <= _STAYED:
            return None
        try:
            replayed = self._ready(tokens, forward)
            if replayed is None:
                return None
            replayed.tokens.copy_(tokens)
            logits, record = replayed.again()
        # Whatever went wrong: nothing was counted, and the usual step shows what is the model's.
        except Exception as error:
            capturing.give_up(error)
            self.changed()
            return None
        self._stream.advance()
        capturing.replayed += 1
        # The next replay writes where these are, and strategies may keep them.
        return logits.clone(), record

    def _ready(
        self, tokens: Tensor, forward: Callable[[Callable[[Tensor], Tensor], Tensor], Outcome]
    ) -> _Replayed | None:
        known = self._replayed
        if known is not None and self._stream.longest < known.room:
            return known
        self._replayed = None  # first, so that its memory can be used
        room = self._stream.reserve()
        if room is None:
            return None
        new = _Replayed(room, tokens)
        new.again = self._capturing.capture(
            lambda: forward(lambda read: self._stream.within(room, read), new.tokens)
        )
        self._replayed = new
        return new
