"""Which model it is, and what it costs: weights, memory, speed."""

import resource
import statistics
import time

import torch

from memvr_integrations.doctor.finding import Finding, not_applicable, ok
from memvr_integrations.doctor.subject import Subject
from memvr_integrations.memvr import MemVRConfig

_LONGEST = 30.0  # seconds of measuring, after which two rounds are enough


def identity(subject: Subject) -> Finding:
    """Which weights they are, how they were loaded, and MemVR's settings for them."""
    backend, model, origin = subject.backend, subject.model, subject.host.origin
    commit = origin.commit if origin else None
    which = f"commit {commit}" if commit else f"key {backend.identity.key[:16]}"
    preset = backend.preset
    memvr = (
        f"MemVR between layers {preset.starting_layer} and {preset.ending_layer} of "
        f"{backend.layers} above {preset.entropy_threshold:g}, "
        f"{'calibrated' if backend.calibrated else 'uncalibrated'}"
        if subject.attached
        else "MemVR can't attach"
    )
    dtype = str(model.dtype).removeprefix("torch.")
    joins = "computed together" if backend.report().joins else "computed one by one"
    return ok(
        f"{backend.name}: {model.config.model_type}, {model.num_parameters():,} parameters, "
        f"{dtype} on {model.device}, {which}; answers are {joins}; {memvr}"
    )


def speed(subject: Subject) -> Finding:
    """Tokens a second with MemVR off and on, in turns, without the first; and the probe."""
    if not subject.attached:
        return not_applicable("MemVR can't attach to this model, so it decodes plainly")
    _pace(subject, None)  # warms up
    started, rounds = time.monotonic(), list[tuple[float, float]]()
    while len(rounds) < subject.rounds:
        if len(rounds) > 1 and time.monotonic() - started > _LONGEST:
            break
        off, on = _pace(subject, None), _pace(subject, subject.settings)
        if off is None or on is None:
            return not_applicable("the answer has a single token, which says nothing of speed")
        rounds.append((off, on))
    ratios = sorted(on / off for off, on in rounds)
    off, on = (statistics.median(paces) for paces in zip(*rounds, strict=True))
    return ok(
        f"{off:.1f} tokens/s off, {on:.1f} on: {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f} in {len(ratios)} rounds){_probe(subject)}"
    )


def _probe(subject: Subject) -> str:
    chosen = subject.backend.report().probe
    return f"; probe {chosen['kind']}: {chosen['way']} ({chosen['reason']})" if chosen else ""


def _pace(subject: Subject, memvr: MemVRConfig | None) -> float | None:
    arrivals = []
    subject.backend.forget()
    for chunk in subject.backend.stream(subject.ask(subject.square, memvr=memvr)):
        arrivals += [time.perf_counter()] * len(chunk.tokens)
    subject.alone()
    seconds = arrivals[-1] - arrivals[0]
    return (len(arrivals) - 1) / seconds if seconds else None


def memory(subject: Subject) -> Finding:
    """Weights, the most that was in use so far, and the cache of a context that is full."""
    model, device = subject.model, subject.model.device
    weights = sum(one.numel() * one.element_size() for one in model.parameters())
    if device.type == "cuda":
        peak = f"{torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB on {device} at most so far"
    else:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        peak = f"{used / 1e9:.2f} GB in the whole process at most so far"
    return ok(f"weights {weights / 1e9:.3g} GB, {peak}{_full_cache(subject)}")


def _full_cache(subject: Subject) -> str:
    text = subject.model.config.get_text_config()
    queries = getattr(text, "num_attention_heads", 0)
    heads = getattr(text, "num_key_value_heads", None) or queries
    context = subject.backend.context
    if not heads or context >= 2**31:  # it says nothing of them
        return ""
    size = getattr(text, "head_dim", None) or int(text.hidden_size) // queries
    # Layers with a window or a state of their own keep less.
    full = 2 * subject.backend.layers * heads * size * context * subject.model.dtype.itemsize
    return f"; a row of {context:,} tokens keeps {full / 1e9:.3g} GB of keys and values at most"
