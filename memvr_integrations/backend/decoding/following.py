"""Second streams: what reads other inputs, or is another model, and follows the rows' tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from memvr_integrations.backend.decoding.caches.streams import Reading, Stream, real_columns
from memvr_integrations.backend.decoding.decoder import Decoder
from memvr_integrations.backend.decoding.inputs import batch_inputs, encoded
from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies import method_of
from memvr_integrations.backend.decoding.strategies.method import Second


@dataclass(eq=False)
class _Following:
    """Rows whose second streams are one."""

    stream: Stream
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Followed:
    """What the second streams of some rows have read."""

    following: _Following
    reading: Reading
    rows: Sequence[Row]


class Followers:
    """The second streams of a group; MemVR doesn't act in them."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        # By the model, or by the row where a model's rows can't join each other.
        self._followings: dict[object, _Following] = {}

    def read(self, rows: Sequence[Row]) -> list[Followed]:
        """Let the second streams of joining rows read their prompts."""
        asked: dict[object, list[tuple[Row, Second]]] = {}
        for row in rows:
            config = row.job.decoding
            second = config and method_of(self._decoder.host, config).second(row)
            if second:
                alone = self._decoder.of(second.host).alone(row)
                asked.setdefault(row if alone else second.host, []).append((row, second))
        return [self._read(key, pairs) for key, pairs in asked.items()]

    def _read(self, key: object, pairs: Sequence[tuple[Row, Second]]) -> Followed:
        host = pairs[0][1].host
        if key not in self._followings:
            stream = self._decoder.of(host).stream(alone=key is not host)
            self._followings[key] = _Following(stream)
        following = self._followings[key]
        prompts = [second.prompt for _, second in pairs]
        features = encoded(host, prompts, [second.pictures for _, second in pairs])
        inputs = batch_inputs(host, prompts, features)
        lengths = [prompt.length for prompt in prompts]
        real = real_columns(lengths, 0, host.model.device)
        reading = following.stream.read(inputs, lengths, real=real)
        return Followed(following, reading, [row for row, _ in pairs])

    def join(self, read: Sequence[Followed]) -> None:
        """Let the rows that go on after their first token follow from now on."""
        for one in read:
            stay = [at for at, row in enumerate(one.rows) if not row.done]
            if stay:
                one.following.stream.join(one.reading, stay)
                one.following.rows += [one.rows[at] for at in stay]

    def step(self, rows: Sequence[Row], tokens: Tensor) -> Mapping[Row, Tensor]:
        """Read the rows' newest tokens, (rows,); by row, what comes next, (vocabulary,)."""
        places = {row: at for at, row in enumerate(rows)}
        logits: dict[Row, Tensor] = {}
        for following in self._followings.values():
            if following.rows:
                at = torch.tensor([places[row] for row in following.rows], device=tokens.device)
                said = following.stream.step(tokens[at])
                logits.update(zip(following.rows, said, strict=True))
        return logits

    def leave(self, rows: Sequence[Row]) -> None:
        """Drop rows."""
        gone = set(rows)
        for key, following in list(self._followings.items()):
            done = [at for at, row in enumerate(following.rows) if row in gone]
            if done:
                order = following.stream.leave(done)
                following.rows = [following.rows[at] for at in order]
            if not following.rows:
                del self._followings[key]


def first_logits(read: Sequence[Followed]) -> Mapping[Row, Tensor]:
    """By row, what its second stream says after the prompt, (vocabulary,)."""
    logits: dict[Row, Tensor] = {}
    for one in read:
        logits.update(zip(one.rows, one.reading.logits, strict=True))
    return logits
