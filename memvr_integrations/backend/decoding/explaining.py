"""The work of one explanation, slice by slice, beside the rows that decode."""

from collections.abc import Callable, Generator
from concurrent.futures import Future

import torch
from torch import Tensor

from memvr_integrations.backend.decoding.caches.masks import StepMasks
from memvr_integrations.backend.decoding.explained import AnswerReader
from memvr_integrations.backend.decoding.jobs import Job, timed_out
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.explain import ExplainedToken, Explanation
from memvr_integrations.explain.config import ExplainConfig
from memvr_integrations.explain.explaining import Given, explained
from memvr_integrations.explain.replay import Decisions, Replay
from memvr_integrations.explain.words import content
from memvr_integrations.types import Completion, Text

_OPPOSITES = {"yes": "no", "no": "yes"}


class Explaining:
    """One explanation on its way; whoever waits for it has `result`."""

    def __init__(
        self,
        job: Job,
        completion: Completion,
        config: ExplainConfig,
        names: tuple[str, ...],
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self._job, self._completion, self._config, self._names = job, completion, config, names
        self._report = progress
        self._slices: Generator[float, None, Explanation] | None = None
        self.result: Future[Explanation] = Future()

    @property
    def over(self) -> bool:
        """Whether it is done, or nobody waits for it any more."""
        if not self.result.done() and self._job.over:
            self.fail(timed_out(self._job.request))
        return self.result.done()

    def fail(self, error: BaseException) -> None:
        """End with an error, once."""
        if not self.result.done():
            self.result.set_exception(error)

    def step(self, host: Host, masks: StepMasks) -> None:
        """Do one slice of the work."""
        try:
            with torch.inference_mode(False), torch.enable_grad():
                if self._slices is None:
                    self._slices = self._begin(host, masks)
                share = next(self._slices)
            if self._report is not None:
                self._report(share)
        except StopIteration as done:
            self._slices = None
            self.result.set_result(done.value)

    def _begin(self, host: Host, masks: StepMasks) -> Generator[float, None, Explanation]:
        job, done = self._job, self._completion
        if job.prompt is None:
            job.read(host)
        assert job.prompt is not None
        ids = [token.id for token in done.tokens]
        if not job.pictures:
            raise ConfigError(
                "The request has no image, so there is nowhere that its answer came from. Explain "
                "a request with an image."
            )
        self._check_own(host, job.prompt.length)
        reader = AnswerReader(host, masks, job.prompt, job.pictures, ids)
        replay = None
        if done.memvr is not None:
            decisions = Decisions(
                config=done.memvr,
                triggers=[token.trigger_layer for token in done.tokens],
                entropies=[token.entropy for token in done.tokens],
                length=job.prompt.length,
                evidence=self._evidence(host, reader),
            )
            replay = Replay(host.model, decisions)
        gradients = all(weight.is_floating_point() for weight in host.model.parameters())
        given = self._given(host)
        return explained(given, reader, replay, self._config, gradients=gradients)

    def _check_own(self, host: Host, length: int) -> None:
        """RequestError for an answer to something else, which these pictures don't explain."""
        done = self._completion
        if done.model != host.name:
            raise RequestError(
                f"The answer was given by {done.model!r}, and this is {host.name!r}; explain it "
                "with the model that gave it."
            )
        if done.usage.prompt_tokens != length:
            raise RequestError(
                f"The answer was given to a prompt of {done.usage.prompt_tokens} tokens, and this "
                f"one has {length}; pass the messages and options that it answers, and not itself "
                "among them."
            )

    def _evidence(self, host: Host, reader: AnswerReader) -> Tensor:
        """What was retraced: the pictures' visual tokens, or with "shuffled" those of others."""
        if not self._job.evidence or host.vision is None:
            return reader.visual.tokens
        [others] = host.vision.encode([self._job.evidence])
        return torch.cat([one for features in others for one in features.evidence]).clone()

    def _given(self, host: Host) -> Given:
        job, done = self._job, self._completion
        says = content([token.text for token in done.tokens])
        last = job.request.messages[-1]
        return Given(
            model=host.name,
            question=" ".join(part.text for part in last.content if isinstance(part, Text)),
            answer=done.text,
            images=tuple(picture.image for picture in job.pictures),
            names=self._names,
            tokens=tuple(
                ExplainedToken(
                    text=token.text,
                    logprob=token.logprob,
                    output_entropy=token.output_entropy,
                    entropies=token.entropies,
                    trigger_layer=token.trigger_layer,
                    content=own,
                )
                for token, own in zip(done.tokens, says, strict=True)
            ),
            ids=tuple(token.id for token in done.tokens),
            rivals=tuple(_rival(host, token.id, token.text) for token in done.tokens),
            memvr=done.memvr,
        )


def _rival(host: Host, token: int, text: str) -> int | None:
    """The token that says no where this one says yes, spelt alike; None where it says neither."""
    word = text.strip()
    other = _OPPOSITES.get(word.lower())
    spelt = host.tokenizer.convert_ids_to_tokens(token)
    if other is None or not isinstance(spelt, str) or word not in spelt:
        return None
    other = other.upper() if word.isupper() else other.title() if word.istitle() else other
    found = host.tokenizer.convert_tokens_to_ids(spelt.replace(word, other))
    return found if isinstance(found, int) and found != host.tokenizer.unk_token_id else None
