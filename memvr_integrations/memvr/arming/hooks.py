"""Arming a model: inside `with retracing(model, config)` every forward retraces where unsure.

Only forward hooks and three instance attributes are used, and all are gone when the `with` ends.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

from memvr_integrations.errors import ArmingError, ConfigError
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.memvr.arming.session import Session
from memvr_integrations.memvr.choosing import ProbeKind, choose_probe
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.memvr.forward import Method
from memvr_integrations.memvr.memory import VisualMemory
from memvr_integrations.memvr.plan import shared_config, window
from memvr_integrations.memvr.probes import Probe
from memvr_integrations.memvr.trace import Trace

_armed: WeakKeyDictionary[nn.Module, Session] = WeakKeyDictionary()
_arming = threading.Lock()


@contextmanager
def retracing(
    model: nn.Module,
    config: MemVRConfig | Sequence[MemVRConfig | None] | None,
    *,
    memory: VisualMemory | None = None,
    sync_free: bool = False,
    probe: ProbeKind | Probe = "exact",
    keep_where: bool = False,
) -> Iterator[Trace]:
    """Arm a model: within the `with`, its forward passes retrace the image where they are unsure.

    Works around any `generate()` or direct call of any transformers image-text-to-text model, and
    leaves the model as it found it. Each request brings its own images; one without any is plain.

    Args:
        model: The model, with its language-model head.
        config: Settings for all rows, or one a prompt of the batch; None leaves rows plain.
        memory: Visual tokens to use in place of those that the forward brings, a row a prompt:
            for a cache that was filled before, for `inputs_embeds`, or for other images' tokens.
        sync_free: Never wait for the device while decoding, at the price of probing every layer of
            the window. This form compiles; results are the same to the last bit.
        probe: "exact" runs the whole head at every probed layer. "strict" decides as it does with
            less of it, "reuse" nearly always with still less, see `choose_probe`, which runs at
            every arming here: for many armings of one model pass what it chose.
        keep_where: Keep in the trace where in the images each retracing found its evidence.

    Yields:
        The trace, which fills as the model runs.

    Raises:
        ConfigError: The window does not fit the model, or settings of rows cannot be combined.
        UnsupportedModelError: The model lacks a part that MemVR needs.
        ArmingError: The model is armed already; or, from inside a forward pass, that pass cannot
            be followed.
    """
    rows = (config,) if isinstance(config, MemVRConfig) or config is None else tuple(config)
    trace = Trace()
    shared = shared_config(rows)
    if shared is None:
        yield trace
        return
    if shared.control == "shuffled" and memory is None:
        raise ConfigError(
            "control='shuffled' retraces other images' visual tokens; pass them as "
            "memory=VisualMemory.from_rows(...)."
        )
    anatomy = find_anatomy(model)
    windows = {window(row, len(anatomy.layers)) for row in rows if row is not None}
    norm: nn.Module | None = anatomy.norm
    if isinstance(probe, str):
        chosen = choose_probe(
            probe,
            anatomy.head,
            norm=norm if shared.norm_before_head else None,
            softcap=anatomy.softcap,
            form=shared.uncertainty,
        )
        probe, norm = chosen.probe, None if chosen.norms else norm
    method = Method(
        config=shared,
        norm=norm,
        probe=probe,
        sync_free=sync_free,
        keep_where=keep_where,
    )
    session = Session(model, anatomy, method, rows, memory, trace)
    with _arming:
        if anatomy.decoder in _armed:
            raise ArmingError(
                f"This {type(model).__name__} is armed already, here or in another thread. Leave "
                "the other `with retracing(...)` first; a batch may have one config a row."
            )
        _armed[anatomy.decoder] = session
    try:
        session.attach(sorted(frozenset().union(*windows)))
        yield trace
    finally:
        session.detach()
        with _arming:
            _armed.pop(anatomy.decoder, None)
