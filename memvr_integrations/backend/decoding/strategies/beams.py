"""Several continuations of one prompt side by side, that can try tokens and take them back."""

import torch
from torch import Tensor

from memvr_integrations.backend.decoding.own_run import OwnRun
from memvr_integrations.backend.decoding.strategies.attention_weights import AttentionWatch
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.errors import UnsupportedModelError


class Beams(OwnRun):
    """A run of `count` equal rows, each of which goes its own way then."""

    def __init__(
        self, host: Host, inputs: dict[str, Tensor], *, count: int, watch: AttentionWatch
    ) -> None:
        """Begin with `inputs` of `count` rows."""
        super().__init__(host)
        self._inputs, self.count, self._watch = inputs, count, watch

    @torch.inference_mode()
    def begin(self) -> Tensor:
        """Read the prompt; what comes next, (beams, vocabulary).

        Raises:
            UnsupportedModelError: The model's cache can't be taken back.
        """
        self._prepare(self._inputs)
        logits = self._forward(self.ids, first=True)
        self._prompt, self._start = self.ids, dict(self._state)
        layers = getattr(self._cache, "layers", ())
        if not layers or any(type(layer).__name__ != "DynamicLayer" for layer in layers):
            raise UnsupportedModelError(
                f"{self._host.name} forgets what lies outside a window, or keeps sums of it, so "
                "that decoding='opera' can't take tokens back. Choose another strategy."
            )
        return logits

    @torch.inference_mode()
    def advance(self, parents: Tensor, tokens: Tensor) -> Tensor:
        """Let each beam go on from a parent with a token; what comes next, (beams, vocabulary)."""
        self._cache.reorder_cache(parents)
        self._ids = torch.cat([self.ids[parents], tokens[:, None]], dim=1)
        return self._forward(self.ids, first=False)

    @torch.inference_mode()
    def attention_at(self, tokens: Tensor) -> Tensor:
        """What the last layer would attend to at a token of each beam, (beams, heads, keys)."""
        before, state = self.ids, dict(self._state)
        self._forward(torch.cat([before, tokens[:, None]], dim=1), first=False)
        self._cache.crop(-1)
        self._state = state
        return self._watch.take()

    def restart(self, answers: Tensor) -> None:
        """Forget all after the prompt, and read answers (beams, length) up to there again."""
        written = self.ids.shape[1] - self._prompt.shape[1]
        self._cache.crop(-written)
        self._ids, self._state = self._prompt, dict(self._start)
        same = torch.arange(self.count, device=answers.device)
        for tokens in answers.T:
            self.advance(same, tokens)
