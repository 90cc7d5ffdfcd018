"""The model that is examined, and the requests that its checks ask."""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import PIL.Image
import torch
from torch import Tensor, nn

from memvr_integrations.backend import Backend
from memvr_integrations.bundled import EXAMPLE
from memvr_integrations.errors import RequestError
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Completion, Request, SamplingParams

QUESTION = "What is in the picture?"


class Subject:
    """A loaded model, its pictures and its settings.

    `settings` are MemVR's, None for the model's preset. An answer has `tokens` tokens at most, and
    speed is measured in `rounds` rounds at most.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        settings: MemVRConfig | None = None,
        tokens: int = 12,
        rounds: int = 5,
    ) -> None:
        self.backend, self.tokens, self.rounds = backend, tokens, rounds
        self.host = backend._host  # the parts of which a backend shows the sum
        self.settings = settings or backend.preset
        self.never = self.settings.changed({"entropy_threshold": 2.0})
        self.always = self.settings.changed({"entropy_threshold": 0.0, "retracing_ratio": 0.5})
        self.model = backend.model
        whole = PIL.Image.open(EXAMPLE).convert("RGB")
        self.square, self.wide = whole, whole.crop((0, 0, whole.width, whole.height // 2))
        if self.model.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.model.device)

    @property
    def attached(self) -> bool:
        """Whether MemVR can attach to it; it decodes plainly where not, a row at a time."""
        return self.host.unsupported is None

    @property
    def exact(self) -> bool:
        """Whether its arithmetic is precise enough for rows to be compared number by number."""
        quantised = getattr(self.model, "hf_quantizer", None) is not None
        return self.model.dtype == torch.float32 and not quantised

    @cached_property
    def kinds(self) -> list[tuple[PIL.Image.Image, ...]]:
        """The pictures that a question may come with: one; two or none, if it reads such."""
        more = ((self.square, self.wide), ())
        return [(self.wide,), *(kind for kind in more if self._reads(kind))]

    def _reads(self, pictures: Sequence[PIL.Image.Image]) -> bool:
        try:
            self.backend.count(self.ask(*pictures))
        except RequestError:
            return False
        return True

    def ask(
        self,
        *pictures: PIL.Image.Image,
        question: str = QUESTION,
        memvr: MemVRConfig | None = None,
    ) -> Request:
        """A question of the checks."""
        sampling = SamplingParams(max_tokens=self.tokens)
        return Request.ask(question, *pictures, sampling=sampling, memvr=memvr)

    def answers(self, *requests: Request) -> list[Completion]:
        """Answers whose prompts are read whole, so that equal requests have equal forwards."""
        self.backend.forget()
        return self.backend.generate(list(requests))

    @cached_property
    def sometimes(self) -> MemVRConfig:
        """Settings by which some tokens trigger and others don't.

        The threshold lies in the widest gap between entropies, so that no rounding decides.
        """
        [done] = self.answers(self.ask(self.square, memvr=self.never))
        seen = sorted(token.entropy or 0.0 for token in done.tokens)
        low, high = max(
            itertools.pairwise(seen), key=lambda pair: pair[1] - pair[0], default=(0.0, seen[0])
        )
        return self.settings.changed({"entropy_threshold": (low + high) / 2})

    def alone(self) -> None:
        """Wait until the inference thread lets the model go: an answer is given before that."""
        while self.backend.busy:
            time.sleep(0.001)

    @contextmanager
    def logprobs(self) -> Iterator[list[Tensor]]:
        """Each forward's log-probabilities at the last position; shapes (rows, vocabulary)."""
        steps: list[Tensor] = []

        def keep(module: nn.Module, given: object, out: dict[str, Tensor]) -> None:
            steps.append(out["logits"][:, -1].float().log_softmax(-1).cpu())

        handle = self.model.register_forward_hook(keep)
        try:
            yield steps
            self.alone()
        finally:
            handle.remove()
