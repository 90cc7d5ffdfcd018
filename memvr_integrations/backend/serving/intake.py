"""From a request to a job: pictures decoded, settings and strategy chosen, schemas compiled."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from memvr_integrations.backend.decoding.jobs import Job, timed_out
from memvr_integrations.backend.decoding.strategies import at_work, second_prompt
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.backend.images import read_image
from memvr_integrations.backend.images.opened import opened
from memvr_integrations.backend.serving.inbox import Inbox
from memvr_integrations.backend.structured.grammar import Grammar, grammar_of
from memvr_integrations.backend.structured.shared_work import Left
from memvr_integrations.errors import (
    MemVRError,
    RequestError,
    UnsupportedModelError,
    picture_named,
)
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.memvr.plan import window
from memvr_integrations.types import Image, Request, SamplingParams, Text
from memvr_integrations.types.image_policy import ImagePolicy


class Intake:
    """Makes jobs in the callers' threads; what is refused here spoils nobody's batch.

    `images` says which pictures may come in, where a request doesn't.
    """

    def __init__(self, host: Host, images: ImagePolicy) -> None:
        self._host, self.images = host, images
        # Kept, for a host that is released meanwhile has no prompts.
        self._warn_of_marks = host.prompts.warn_of_marks

    def job(self, inbox: Inbox) -> Job:
        """The job of a request, which can be answered.

        Raises:
            ContextLengthError: Its prompt leaves no room for an answer under a schema.
            MemVRError: As `checked`.
        """
        job = self.checked(inbox)
        if job.grammar is not None:
            self._find_room(job, job.grammar, inbox)
        return job

    def _find_room(self, job: Job, grammar: Grammar, inbox: Inbox) -> None:
        """Seek a short end where the prompt wants one: the inference thread has no time for it."""
        try:
            job.second = second_prompt(self._host, job)
            prompt = self._host.prompts.fitted(job.request, job.pictures)
        except MemVRError:
            raise
        except Exception:
            return  # the inference thread comes to it as well, and says what it means
        room = min(one.room for one in (prompt, job.second) if one is not None)
        limit = min(job.request.sampling.max_tokens, room)
        self._checked_grammar(grammar, inbox, limit)
        job.prompt = prompt

    def _checked_grammar(self, grammar: Grammar, inbox: Inbox, limit: int | None = None) -> None:
        try:
            self._host.grammars.check(grammar, limit, inbox.wanted)
        except Left:
            raise timed_out(inbox.request) from None

    def checked(self, inbox: Inbox) -> Job:
        """The job of a request, however long its prompt.

        Raises:
            RequestError: It can't be answered as it stands.
            ImageError: A picture can't be used.
            ConfigError: Its window does not fit the model.
            UnsupportedModelError: The model can't do what it asks for.
            RequestTimeoutError: Its time passed while its schema was compiled.
        """
        request = inbox.request
        _check_text(request)
        self._check_tokens(request.sampling)
        self._warn_of_marks(request)
        policy = request.image_policy or self.images
        pictures = list(self._pictures(request, policy))
        config = self._config(request)
        if config is not None:
            window(config, self._host.layers)
        decoding = at_work(self._host, request, scored=bool(inbox.dictated))
        grammar = grammar_of(request)
        if grammar is not None:
            self._checked_grammar(grammar, inbox)
        return Job(
            request=request,
            pictures=pictures,
            config=config,
            sink=inbox.report,
            deadline=inbox.deadline,
            left=inbox.left,
            grammar=grammar,
            dictated=inbox.dictated,
            decoding=decoding,
            evidence=[self._picture(one, policy) for one in request.evidence],
            box_scale=self._host.row.box_scale if self._host.row else None,
        )

    def opened(self, request: Request) -> Request:
        """The request with its pictures read, for a caller that asks it several times."""
        policy = request.image_policy or self.images
        return replace(request, messages=opened(request.messages, policy))

    def _check_tokens(self, sampling: SamplingParams) -> None:
        size = self._host.vocabulary
        named = {"logit_bias": sampling.logit_bias or {}, "stop_token_ids": sampling.stop_token_ids}
        for option, tokens in named.items():
            if tokens and max(tokens) >= size:
                raise RequestError(
                    f"{option} names token {max(tokens)}, and {self._host.name} has the tokens 0 "
                    f"to {size - 1}; Backend.tokenize(text) gives those of a text."
                )

    def _config(self, request: Request) -> MemVRConfig | None:
        asked = request.memvr
        if asked is None or asked is False:
            return None
        if self._host.unsupported is not None:
            raise UnsupportedModelError(self._host.unsupported)
        if isinstance(asked, MemVRConfig):
            return asked
        return self._host.preset.changed(asked) if isinstance(asked, Mapping) else self._host.preset

    def _pictures(self, request: Request, policy: ImagePolicy) -> Iterator[Picture]:
        for number, message in enumerate(request.messages, start=1):
            images = (part for part in message.content if isinstance(part, Image))
            for position, image in enumerate(images, start=1):
                with picture_named(number, message.role, position):
                    picture = self._picture(image, policy)
                yield picture

    def _picture(self, part: Image, policy: ImagePolicy) -> Picture:
        read = read_image(part.source, policy)
        self._host.check_kind(read.pixels)
        return Picture(image=read.pixels, hash=read.hash)


def _check_text(request: Request) -> None:
    parts = [part for message in request.messages for part in message.content]
    said = [part.text for part in parts if isinstance(part, Text)]
    # A picture alone may be a whole message; words that say nothing are a mistake.
    if said and not any(text.strip() for text in said):
        raise RequestError(
            f"The question is empty: {len(request.messages)} message(s) hold no text but {said!r}. "
            "Say what to answer."
        )


def as_list(requests: Request | Sequence[Request]) -> list[Request]:
    """One request or several as a list; RequestError for what is none."""
    listed = [requests] if isinstance(requests, Request | str) else list(requests)
    for one in listed:
        if not isinstance(one, Request):
            raise RequestError(
                f"{one!r} is a {type(one).__name__}; give a Request, as Request.ask(question, "
                "image) makes it, or a list of them."
            )
    return listed


def check_streams(request: Request) -> None:
    """RequestError where a strategy has nothing to stream."""
    strategy = request.strategy
    if strategy is not None and strategy.whole:
        raise RequestError(
            f"decoding={strategy.name!r} takes back what it said, so there is nothing to stream "
            "before the end. Use generate(), or choose another strategy."
        )


def picture_names(request: Request) -> tuple[str, ...]:
    """What to call a request's pictures: by their files, or by their numbers."""
    return tuple(
        image.source.name if isinstance(image.source, Path) else f"Picture {number}"
        for number, image in enumerate(request.images, start=1)
    )
