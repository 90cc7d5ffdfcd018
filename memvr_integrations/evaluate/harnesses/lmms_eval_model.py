"""The model `memvr` of lmms-eval: for chat tasks, and with `--force_simple` for simple ones."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms
from lmms_eval.models.model_utils.gen_metrics import log_metrics
from lmms_eval.protocol import ChatMessages

from memvr_integrations.backend.hosting.loading import pick_device
from memvr_integrations.errors import RequestError
from memvr_integrations.evaluate.harnesses.harness import conversation
from memvr_integrations.evaluate.harnesses.lmms_eval_asking import (
    Asked,
    Asking,
    LmmsEvalOptions,
    Round,
)
from memvr_integrations.types import Message

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")


class _MemVR(lmms):
    """What both classes share: loading, asking, and reporting what it took.

    The options are the fields of `LmmsEvalOptions`, as lmms-eval reads them from `--model_args`.
    ConfigError for others, and as `Backend.load` raises.
    """

    def __init__(self, **options: object) -> None:
        super().__init__()
        self._options = _on_its_own_device(LmmsEvalOptions.read(options))
        self._backend, way = self._options.load(batch=self._options.batch_size)
        self._asking = Asking(self._backend, way, self._options)

    @property
    def batch_size(self) -> int:
        """Requests asked together."""
        return self._options.batch_size

    @property
    def device(self) -> torch.device:
        """Where lmms-eval puts its own tensors."""
        return pick_device(self._options.device)

    def generate_until(self, requests: Sequence[Instance]) -> list[GenerationResult]:
        """The answers with their token counts.

        Raises:
            MemVRError: A request can't be answered; a note says among which ones.
        """
        done = self._asking.generate([self._asked(request) for request in requests])
        self._report()
        return [
            GenerationResult(
                text=one.text,
                token_counts=TokenCounts(
                    input_tokens=one.usage.prompt_tokens,
                    output_tokens=one.usage.completion_tokens,
                ),
            )
            for one in done
        ]

    def loglikelihood(self, requests: Sequence[Instance]) -> list[GenerationResult]:
        """The negative logarithm of each continuation's probability, and whether it is greedy.

        lmms-eval's scoring takes the choice with the lowest, as its own models give losses. Each
        pair is the `text` of a result.

        Raises:
            MemVRError: As `generate_until` does.
        """
        asked, continuations = [], []
        for request in requests:
            if len(request.args) < 6:
                raise RequestError(
                    f"A request has the arguments {request.args!r} alone: what a choice's "
                    "probability is without its question. Leave acc_mutual_info out of the task."
                )
            context, continuation, to_visual, number, task, split = request.args
            document = (task, split, number)
            if callable(continuation):
                continuation = continuation(self._doc(document))
            continuations.append(continuation)
            shown = partial(self._shown, to_visual, document, context)
            asked.append(Asked(document=document, context=context, messages=shown))
        # lmms-eval 0.7.3 writes bare pairs out as text, and can't score them any more.
        return [GenerationResult(text=one) for one in self._asking.score(asked, continuations)]

    def clean(self) -> None:
        """Free the memory, for judges that are loaded afterwards; it can't be asked any more."""
        self._backend.close()
        super().clean()

    def _asked(self, request: Instance) -> Asked:
        raise NotImplementedError

    def _doc(self, document: tuple[str, str, int]) -> object:
        task, split, number = document
        return self.task_dict[task][split][number]

    def _shown(
        self, to_visual: object, document: tuple[str, str, int], context: str
    ) -> tuple[Message, ...]:
        """A user's message as simple tasks have it: what is seen, then the text."""
        seen = (to_visual(self._doc(document)) if callable(to_visual) else None) or []
        parts = [*((_kind(one), one) for one in seen), ("text", context)]
        return conversation([("user", parts)], self._options.system_prompt)

    def _report(self) -> None:
        spent = self._asking.spent
        log_metrics(
            total_elapsed_time=spent.seconds,
            total_gen_tokens=spent.tokens,
            avg_speed=spent.tokens / spent.seconds if spent.seconds else 0.0,
            additional_metrics={"retraced_share": spent.retraced / max(spent.tokens, 1)},
        )


class MemVRChat(_MemVR):
    """For tasks as messages, in rounds too: what lmms-eval takes by default."""

    is_simple = False

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[list[str]]:
        """What is said in every round of each request.

        Raises:
            MemVRError: A request can't be answered, or its task comes to no end.
        """
        said = self._asking.rounds([self._asked(request) for request in requests])
        self._report()
        return said

    def _asked(self, request: Instance) -> Asked:
        context, to_messages, generation, number, task, split = request.args
        document = (task, split, number)
        return Asked(
            document=document,
            context=context,
            messages=lambda: self._said(to_messages(self._doc(document))),
            generation=generation,
            following=partial(self._following, to_messages, document),
        )

    def _following(
        self,
        to_messages: Callable[..., object],
        document: tuple[str, str, int],
        number: int,
        said: list[str],
        notes: object,
    ) -> Round:
        payload = to_messages(
            self._doc(document),
            round_idx=number,
            previous_output=list(said),
            previous_round_info=notes,
        )
        if not isinstance(payload, tuple):  # the task has messages for one round alone
            return Round(messages=None, said=said, notes=notes)
        messages, ended, kept, notes = payload
        kept = said if kept is None else list(kept)
        return Round(messages=None if ended else self._said(messages), said=kept, notes=notes)

    def _said(self, messages: list[dict[str, object]]) -> tuple[Message, ...]:
        turns = ChatMessages(messages=messages).to_hf_messages()
        return conversation(
            [
                (turn["role"], [(one["type"], one[one["type"]]) for one in turn["content"]])
                for turn in turns
            ],
            self._options.system_prompt,
        )


class MemVRSimple(_MemVR):
    """For tasks as a text and what is seen, and for those that compare choices: `--force_simple`.

    lmms-eval builds no requests for probabilities in its chat mode.
    """

    is_simple = True

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[list[str]]:
        """Refused.

        Raises:
            RequestError: Always.
        """
        raise RequestError("Tasks in rounds are asked as messages; leave --force_simple out.")

    def _asked(self, request: Instance) -> Asked:
        context, generation, to_visual, number, task, split = request.args
        document = (task, split, number)
        return Asked(
            document=document,
            context=context,
            messages=partial(self._shown, to_visual, document, context),
            generation=generation,
        )


def _on_its_own_device(options: LmmsEvalOptions) -> LmmsEvalOptions:
    """Where launchers start a process a GPU, "auto" is the process's own."""
    number = os.environ.get("LOCAL_RANK")
    if options.device != "auto" or number is None or torch.cuda.device_count() < 2:
        return options
    return replace(options, device=f"cuda:{number}")


def _kind(seen: object) -> str:
    """What simple tasks show: text names a file, and a dict is a sound or a video."""
    if isinstance(seen, str):
        return "image" if seen.lower().endswith(_PICTURES) else "video"
    return "audio or video" if isinstance(seen, dict) else "image"
