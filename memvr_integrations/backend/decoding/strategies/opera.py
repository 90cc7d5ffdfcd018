"""OPERA: beam search with a penalty on over-trust, and roll-backs to where it began."""

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from memvr_integrations.backend.decoding.inputs import batch_inputs, encoded
from memvr_integrations.backend.decoding.jobs import Row, damaged
from memvr_integrations.backend.decoding.strategies.attention_weights import watched
from memvr_integrations.backend.decoding.strategies.beams import Beams
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr import layer_entropy
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.types import TokenRecord
from memvr_integrations.types.decoding import OPERAConfig

_EARLY = 10  # tokens whose penalty goes by the image, and to which nothing is rolled back
_TINY = 1e-7
_LARGEST = 1e30  # products are kept below, so that no two of them are equal as infinities


class OPERA(Method[OPERAConfig]):
    """One request at a time: a search, and all tokens of the best answer at once."""

    def check(self) -> None:
        """Refuse a model whose last layer has no attention to be read."""
        self._attention()

    def search(self, row: Row) -> Generator[None, None, None]:
        """Search an answer, and give it to the row; one token of the beams a step."""
        host, config = self.host, self.config
        prompts, pictures = [row.prompt] * config.beams, [row.job.pictures] * config.beams
        with watched(self._attention(), host.name) as watch:
            inputs = batch_inputs(host, prompts, encoded(host, prompts, pictures))
            beams = Beams(host, inputs, count=config.beams, watch=watch)
            found = yield from _Search(host, row, config, beams).run()
        if found is None:
            return
        for token, (logprob, entropy) in zip(found.tokens, found.noted, strict=True):
            if row.done:
                return
            record = TokenRecord(id=token, text="", logprob=logprob, output_entropy=entropy)
            end = token in host.end_tokens
            row.take(record, end=end, limit=row.most, model=host.name)

    def _attention(self) -> nn.Module:
        """The module whose attention says what a token trusts."""
        found = getattr(find_anatomy(self.host.model).layers[-1], "self_attn", None)
        if not isinstance(found, nn.Module):
            raise UnsupportedModelError(
                f"The last layer of {self.host.name} has no self-attention, and decoding='opera' "
                "goes by it. Choose another strategy."
            )
        return found


@dataclass(frozen=True, kw_only=True)
class _Path:
    """The beams at one length, all tensors a row a beam."""

    tokens: Tensor
    scores: Tensor
    noted: Tensor  # log-probability and entropy of each token, (beams, length, 2)
    attention: Tensor  # from token i to token j, (beams, length, length)
    places: tuple[Tensor, ...]  # where each step before trusted most, (beams,) each

    @property
    def length(self) -> int:
        return self.tokens.shape[1]


@dataclass(kw_only=True)
class _Choices:
    """What the beams of a path may say next; `scores` are -inf where it was tried in vain."""

    path: _Path
    tokens: Tensor  # (beams, candidates), as all below
    scores: Tensor
    noted: Tensor
    attention: Tensor  # to the answer's own tokens, (beams, candidates, length + 1)
    places: Tensor
    taken: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """A finished beam."""

    tokens: list[int]
    noted: list[list[float]]
    score: float


class _Search:
    """One search."""

    def __init__(self, host: Host, row: Row, config: OPERAConfig, beams: Beams) -> None:
        self._host, self._row, self._config, self._beams = host, row, config, beams
        ids = row.prompt.inputs["input_ids"][0]
        self._image = (ids == host.prompts.image_token).nonzero()[:, 0]
        self._prompt = len(ids)
        self._past: dict[int, _Choices] = {}
        self._rolled: Counter[int] = Counter()
        self._finished: list[_Answer] = []
        self._ends = host.end_tokens.union(row.stop_token_ids)

    def run(self) -> Generator[None, None, _Answer | None]:
        """The best answer; None where nobody waits for it any more."""
        logits = self._beams.begin()
        path = self._first(logits.device)
        while not self._row.done:
            choices = self._tried(path, logits)
            back = self._place_to_return(choices)
            if back is not None:
                choices = self._past[back]
                self._reject(choices)
                self._beams.restart(choices.path.tokens)
            self._past[choices.path.length] = choices
            self._past.pop(choices.path.length - self._config.history, None)
            path, parents = self._choose(choices)
            if path.length >= self._row.most or self._settled(path):
                return self._best(path)
            logits = self._beams.advance(parents, path.tokens[:, -1])
            yield
        return None

    def _first(self, device: torch.device) -> _Path:
        count = self._config.beams
        scores = torch.full((count,), -torch.inf, device=device)
        scores[0] = 0.0  # all beams are the same yet
        return _Path(
            tokens=torch.zeros(count, 0, dtype=torch.long, device=device),
            scores=scores,
            noted=torch.zeros(count, 0, 2, device=device),
            attention=torch.zeros(count, 0, 0, device=device),
            places=(),
        )

    def _tried(self, path: _Path, logits: Tensor) -> _Choices:
        """Try the likeliest tokens of each beam, and what each would attend to.

        Raises:
            GenerationError: The logits are NaN or infinite.
        """
        likely = logits.topk(self._config.candidates, dim=-1)
        total = logits.logsumexp(-1)
        if not bool(total.isfinite().all()):
            raise damaged(self._host.name)
        logprobs = likely.values - total[:, None]
        seen = torch.stack([self._beams.attention_at(tokens) for tokens in likely.indices.T], dim=1)
        weights = seen.max(2).values
        weights = weights / weights.sum(-1, keepdim=True)
        own = weights[..., self._prompt :]
        trust, places = over_trust(path.attention, own, self._config.sigma)
        seen_image = weights[..., self._image.to(weights.device)].sum(-1)
        penalty = -seen_image if path.length + 1 <= _EARLY else trust
        entropies = layer_entropy(logits)[:, None].expand_as(logprobs)
        return _Choices(
            path=path,
            tokens=likely.indices,
            scores=path.scores[:, None] + logprobs - self._config.weight * penalty,
            noted=torch.stack([logprobs, entropies], dim=-1),
            attention=own,
            places=places.mode(-1).values,
        )

    def _place_to_return(self, choices: _Choices) -> int | None:
        """The length to which to roll back, where all beams trust one token again and again."""
        place = int(choices.places.mode().values)
        history = torch.stack([*choices.path.places, choices.places], dim=-1)
        recurs = bool(((history == place).sum(-1) > self._config.threshold).all())
        if not recurs or place < _EARLY:
            return None
        for length in (place + 1, place):
            there = self._past.get(length)
            if there is not None and self._rolled[length] < self._config.candidates:
                left = there.scores.isfinite().sum() - self._config.beams
                if int(left) >= self._config.beams:
                    self._rolled[length] += 1
                    return length
        return None

    def _reject(self, choices: _Choices) -> None:
        """Rule out what was chosen there before, and forget all that followed."""
        if choices.taken is not None:
            choices.scores.view(-1)[choices.taken] = -torch.inf
        self._past = {at: kept for at, kept in self._past.items() if at <= choices.path.length}

    def _choose(self, choices: _Choices) -> tuple[_Path, Tensor]:
        """The best beams of the next length, and whose children they are."""
        count, tried = self._config.beams, choices.tokens.shape[1]
        order = choices.scores.view(-1).argsort(descending=True, stable=True)
        order = order[: 2 * count]
        tokens = choices.tokens.view(-1)[order].tolist()
        ends = [token in self._ends for token in tokens]
        scores = choices.scores.view(-1)[order]
        for rank, (end, score) in enumerate(zip(ends, scores.tolist(), strict=True)):
            if end and rank < count and score > -torch.inf:
                self._finish(choices, int(order[rank]), score)
        going = [at for at, end in zip(order.tolist(), ends, strict=True) if not end][:count]
        going += [int(order[0])] * (count - len(going))
        index = torch.tensor(going, device=choices.scores.device)
        choices.taken = index
        path = self._grown(choices, index, torch.div(index, tried, rounding_mode="floor"))
        if len(set(going)) < count or all(ends):
            self._silence(path, going, choices)
        return path, torch.div(index, tried, rounding_mode="floor")

    def _silence(self, path: _Path, going: Sequence[int], choices: _Choices) -> None:
        """A beam that fills a gap, or says more after an end, can't win."""
        tokens, known = choices.tokens.view(-1), set[int]()
        for beam, at in enumerate(going):
            if at in known or int(tokens[at]) in self._ends:
                path.scores[beam] = -torch.inf
            known.add(at)

    def _grown(self, choices: _Choices, index: Tensor, parents: Tensor) -> _Path:
        before, width = choices.path, choices.path.length + 1
        attention = torch.zeros(len(index), width, width, device=index.device)
        attention[:, :-1, :-1] = before.attention[parents]
        attention[:, -1] = choices.attention.flatten(0, 1)[index]
        tokens = choices.tokens.view(-1)[index]
        noted = choices.noted.flatten(0, 1)[index]
        return _Path(
            tokens=torch.cat([before.tokens[parents], tokens[:, None]], dim=1),
            scores=choices.scores.view(-1)[index].clone(),
            noted=torch.cat([before.noted[parents], noted[:, None]], dim=1),
            attention=attention,
            places=tuple(place[parents] for place in (*before.places, choices.places)),
        )

    def _finish(self, choices: _Choices, at: int, score: float) -> None:
        beam, path = at // choices.tokens.shape[1], choices.path
        tokens = [*path.tokens[beam].tolist(), int(choices.tokens.view(-1)[at])]
        noted = [*path.noted[beam].tolist(), choices.noted.flatten(0, 1)[at].tolist()]
        answer = _Answer(tokens=tokens, noted=noted, score=score / len(tokens))
        ranked = sorted([*self._finished, answer], key=lambda one: -one.score)
        self._finished = ranked[: self._config.beams]

    def _settled(self, path: _Path) -> bool:
        """Whether no beam can still beat the finished answers."""
        best = float(path.scores.max())
        if best == -torch.inf:
            return True
        full = len(self._finished) == self._config.beams
        return full and best / path.length <= self._finished[-1].score

    def _best(self, path: _Path) -> _Answer:
        beam = int(path.scores.argmax())
        running = _Answer(
            tokens=path.tokens[beam].tolist(),
            noted=path.noted[beam].tolist(),
            score=float(path.scores[beam]) / path.length,
        )
        return max([*self._finished, running], key=lambda one: one.score)


def over_trust(before: Tensor, newest: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """The greatest product down a column of the answer's attention, and which column it is.

    Shapes: `before` (beams, length, length), `newest` (beams, candidates, length + 1), the row
    that each candidate adds; both results (beams, candidates).
    """
    length = before.shape[-1]
    # A column begins at its own token: what lies above it counts for nothing.
    square = (sigma * before.double()).tril() + torch.ones_like(before).triu(1)
    columns = torch.nn.functional.pad(square.prod(-2), (0, 1), value=1.0)
    products = (columns[:, None] * sigma * newest.double()).clamp(max=_LARGEST)
    assert products.shape[-1] == length + 1
    best = (_TINY * products).max(-1)
    return best.values.float(), best.indices
