"""Decoding beside what the memory's bandwidth allows: a token reads the decoder's weights once."""

import torch

from memvr_integrations.backend.hosting.loading import LoadedModel
from memvr_integrations.evaluate.costs import decode
from memvr_integrations.evaluate.costs.figures import Spread, Table
from memvr_integrations.evaluate.costs.subject import Subject

_BYTES = 2**30
_COPIES = 20
_GIB = 2**30


def table(subject: Subject, rounds: int, tokens: int, *, copied: int = _BYTES) -> Table:
    """How many times a token takes what reading its weights alone would."""
    timings = decode.Decoding(subject, tokens).rounds(decode.memvr_ways(subject.preset), rounds)
    read, speed = read_for_a_token(subject.loaded), bandwidth(subject, copied)
    least = read / speed
    rows = {
        name: [
            Spread([1000 * timing.decode for timing in measured if timing.decode]),
            Spread([timing.decode / least for timing in measured if timing.decode]),
        ]
        for name, measured in timings.items()
    }
    return Table(
        title="Decode beside the memory's bandwidth",
        note=f"{read / _GIB:.2f} GiB of weights a token at {speed / _GIB:.0f} GiB/s, "
        f"{1000 * least:.2f} ms.",
        columns=["decode, ms", "decode / weights read once"],
        rows=rows,
        charted="decode / weights read once",
    )


def read_for_a_token(loaded: LoadedModel) -> int:
    """Bytes of the weights that a step of one row goes through: the decoder's and the head's."""
    model = loaded.model
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    assert head is not None
    looked_up = {id(weight) for weight in embedding.parameters()}
    weights = {id(weight): weight for weight in model.get_decoder().parameters()}
    weights = {key: weight for key, weight in weights.items() if key not in looked_up}
    weights |= {id(weight): weight for weight in head.parameters()}
    return sum(weight.numel() * weight.element_size() for weight in weights.values())


def bandwidth(subject: Subject, size: int = _BYTES) -> float:
    """Bytes a second that the device reads and writes when it copies so many; the best of some."""
    source = torch.zeros(size, dtype=torch.uint8, device=subject.loaded.model.device)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(_COPIES):
        started = subject.synchronized()
        target.copy_(source)
        best = max(best, 2 * size / (subject.synchronized() - started))
    return best
