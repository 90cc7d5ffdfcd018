"""What must be equal: MemVR off and no MemVR, a batch and its rows, a stream and its answer."""

from collections.abc import Sequence

import PIL.Image
import torch
from torch import Tensor
from transformers import BatchFeature, GenerationConfig

from memvr_integrations.doctor.finding import REPORT, Finding, failed, not_applicable, ok
from memvr_integrations.doctor.subject import QUESTION, Subject
from memvr_integrations.types import Completion, Request

_ROUNDING = 1e-4  # of log-probabilities in float32, where a batch or two pictures add up otherwise


def off_equals_plain(subject: Subject) -> Finding:
    """MemVR off, and MemVR that never triggers, give what the model's own `generate` gives.

    Ids and log-probabilities are the same bit for bit, for the same forward passes run. Where the
    model encodes two pictures at once and the backend one at a time, they are as good as the same.
    """
    ways = {"off": None} | ({"never triggering": subject.never} if subject.attached else {})
    tokens = 0
    for pictures in subject.kinds:
        plain = _generated(subject, pictures)
        answers = {
            way: subject.backend.generate(subject.ask(*pictures, memvr=memvr))[0]
            for way, memvr in ways.items()
        }
        for way, done in answers.items():
            given = [(token.id, token.logprob) for token in done.tokens]
            first = [(token.id, token.logprob) for token in answers["off"].tokens]
            together = len(pictures) > 1 and subject.attached
            if not (_near(given, plain, subject) if together else given == plain) or given != first:
                return failed(
                    f"with {len(pictures)} picture(s) and MemVR {way} it gives {_listed(given)}, "
                    f"by the model's own generate {_listed(plain)}",
                    f'try dtype="float32" or another version of transformers, and {REPORT}',
                )
            tokens += len(given)
    return ok(
        f"{tokens} tokens: ids and log-probabilities as from the model's own generate, with MemVR "
        f"{' and '.join(ways)}, of {len(subject.kinds)} kinds of questions"
    )


def _near(given: list[tuple[int, float]], plain: list[tuple[int, float]], subject: Subject) -> bool:
    if not subject.exact:  # rounding may take another word
        return True
    return [id for id, _ in given] == [id for id, _ in plain] and all(
        abs(one - other) <= _ROUNDING for (_, one), (_, other) in zip(given, plain, strict=True)
    )


def _listed(tokens: Sequence[tuple[int, float]]) -> str:
    return ", ".join(f"{id} ({logprob:.7g})" for id, logprob in tokens[:4]) + " ..."


def processed(
    subject: Subject, pictures: Sequence[PIL.Image.Image], question: str = QUESTION
) -> BatchFeature:
    """All that the processor makes of a question, pixels included."""
    content: list[dict[str, object]] = [{"type": "image", "image": one} for one in pictures]
    content.append({"type": "text", "text": question})
    inputs: BatchFeature = subject.host.processor.apply_chat_template(  # type: ignore[assignment]
        [{"role": "user", "content": content}],  # type: ignore[arg-type]  # for text alone
        chat_template=subject.host.prompts.template,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    inputs.pop("labels", None)  # for training
    return inputs.to(subject.model.device, subject.model.dtype)


@torch.inference_mode()
def _generated(subject: Subject, pictures: Sequence[PIL.Image.Image]) -> list[tuple[int, float]]:
    """What the model's own greedy `generate` gives: ids and their log-probabilities."""
    inputs, host = processed(subject, pictures), subject.host
    subject.alone()
    with host.own_defaults():
        out = subject.model.generate(  # type: ignore[operator]
            **inputs,
            generation_config=GenerationConfig(
                max_new_tokens=subject.tokens,
                do_sample=False,
                pad_token_id=host.pad,
                eos_token_id=sorted(host.end_tokens) or None,
                decoder_start_token_id=host.decoder_start,
                return_dict_in_generate=True,
                output_scores=True,
            ),
        )
    scores = torch.cat(out.scores)
    ids = out.sequences[0, -len(scores) :]
    logprobs = scores[range(len(ids)), ids] - scores.logsumexp(-1)
    return list(zip(ids.tolist(), logprobs.tolist(), strict=True))


def batch_equals_alone(subject: Subject) -> Finding:
    """Rows of a batch, some of which trigger, answer as they do alone.

    In float32 ids and triggers are equal and log-probabilities within 1e-4. In half precision
    rounding depends on the batch: there ids may differ where two tokens were as good as equal.
    """
    if not subject.attached:
        return not_applicable("MemVR can't attach to this model, so it computes a row at a time")
    requests = _mixed(subject)
    before = subject.backend.batches
    with subject.logprobs() as steps:
        together = subject.backend.generate(requests)
    if subject.backend.batches != before + 1:
        return failed(
            f"{len(requests)} requests took {subject.backend.batches - before} batches",
            'free memory, or load the model with a smaller dtype or quantization="4bit"',
        )
    alone, own_steps = [], []
    for request in requests:
        with subject.logprobs() as steps_alone:
            alone += subject.backend.generate(request)
        own_steps.append([step[0] for step in steps_alone])
    rows = [
        _Row(one, other, [step[at] for step in steps], own_steps[at])
        for at, (one, other) in enumerate(zip(together, alone, strict=True))
    ]
    return _compared(rows, exact=subject.exact)


class _Row:
    """One answer in a batch and alone, and the log-probabilities of each of its steps."""

    def __init__(
        self, together: Completion, alone: Completion, steps: list[Tensor], own: list[Tensor]
    ) -> None:
        self.together, self.alone = together, alone
        ids = [[token.id for token in done.tokens] for done in (together, alone)]
        self.same = ids[0] == ids[1]
        pairs = enumerate(zip(*ids, strict=False))
        self.first = next((at for at, (one, other) in pairs if one != other), min(map(len, ids)))
        self.triggers = [[t.trigger_layer for t in done.tokens] for done in (together, alone)]
        self.retraced = sum(layer is not None for layer in self.triggers[1])
        # Of the ten likeliest tokens at each step that both ways have reached by the same tokens.
        likeliest = [step.topk(min(10, len(step))).indices for step in own[: self.first]]
        self.noise = max(
            (
                float((one[top] - other[top]).abs().max())
                for one, other, top in zip(steps, own, likeliest, strict=False)
            ),
            default=0.0,
        )
        self.gap = 0.0
        if not self.same and self.first < len(own):
            best = own[self.first].topk(2).values
            self.gap = float(best[0] - best[1])

    @property
    def difference(self) -> float:
        """The largest between log-probabilities of the same tokens."""
        both = zip(self.together.tokens[: self.first], self.alone.tokens, strict=False)
        return max((abs(one.logprob - other.logprob) for one, other in both), default=0.0)


def _compared(rows: Sequence[_Row], *, exact: bool) -> Finding:
    noise, apart = max(row.noise for row in rows), [row for row in rows if not row.same]
    largest = max(row.difference for row in rows)
    tokens = sum(len(row.alone.tokens) for row in rows)
    says = (
        f"{len(rows)} rows, {tokens} tokens, {sum(row.retraced for row in rows)} triggered: "
        f"{len(apart)} rows have other ids, log-probabilities differ by {largest:.1e} at most"
    )
    advice = f"use QueueConfig(max_batch=1) until it is mended, and {REPORT}"
    if exact:
        triggers = all(row.triggers[0] == row.triggers[1] for row in rows)
        if apart or largest > _ROUNDING or not triggers:
            return failed(says + ("" if triggers else ", and other layers trigger"), advice)
        return ok(says)
    gap = max((row.gap for row in apart), default=0.0)
    if not apart:
        return ok(says)
    says += f"; there the two best tokens were {gap:.1e} apart, and rounding makes {noise:.1e}"
    return ok(says) if gap <= noise else failed(says, f'use dtype="float32", or {advice}')


def _mixed(subject: Subject) -> list[Request]:
    """Requests of all kinds and of different lengths, some plain; most trigger at times."""
    longer = "And here, please: is there a dog, or is it something else?"
    asked = [
        subject.ask(*pictures, question=question, memvr=memvr)
        for pictures, question, memvr in zip(
            subject.kinds,
            (QUESTION, QUESTION, longer, QUESTION),
            (subject.sometimes, None, subject.sometimes, subject.sometimes),
            strict=False,
        )
    ]
    return [*asked, subject.ask(subject.wide, question=longer, memvr=subject.sometimes)]


def stream_equals_whole(subject: Subject) -> Finding:
    """The pieces of a stream make up the answer that comes in one piece."""
    pictures = max(subject.kinds, key=len)
    memvr = subject.sometimes if subject.attached else None
    request = subject.ask(*pictures, memvr=memvr)
    [whole] = subject.backend.generate(request)
    chunks = list(subject.backend.stream(request))
    last = chunks[-1].completion
    ids = [token.id for chunk in chunks for token in chunk.tokens]
    compared = {
        "text": ("".join(chunk.text for chunk in chunks), whole.text),
        "ids": (ids, [token.id for token in whole.tokens]),
        "finish reason": (last and last.finish_reason, whole.finish_reason),
        "usage": (last and last.usage, whole.usage),
    }
    for what, (streamed, expected) in compared.items():
        if streamed != expected:
            return failed(
                f"the {what} is {streamed!r} in a stream and {expected!r} in one piece",
                f"ask without streaming until it is mended, and {REPORT}",
            )
    return ok(f"{', '.join(compared)} are the same, in {len(chunks)} pieces")
