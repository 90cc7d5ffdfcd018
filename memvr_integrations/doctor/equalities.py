"""What must be equal: MemVR off and no MemVR, a batch and its rows, a stream and its answer."""

import itertools
from collections.abc import Sequence
from typing import TypeAlias

import PIL.Image
import torch
from transformers import BatchFeature, GenerationConfig

from memvr_integrations.doctor.finding import REPORT, Finding, failed, not_applicable, ok
from memvr_integrations.doctor.subject import QUESTION, Subject
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Completion, Request

_Tokens: TypeAlias = list[tuple[int, float]]  # ids and log-probabilities
ROUNDING = 1e-4  # of log-probabilities in float32, where a batch or two pictures add up otherwise


def off_equals_plain(subject: Subject) -> Finding:
    """MemVR off, and MemVR that never triggers, give what the model's own `generate` gives.

    Ids and log-probabilities are the same bit for bit. Only two pictures, which the model encodes
    at once and the backend one at a time, round otherwise: in half precision too much to compare.
    """
    tokens, note = 0, ""
    for pictures in subject.kinds:
        plain, off = _generated(subject, pictures), _answered(subject, pictures, None)
        never = _answered(subject, pictures, subject.never) if subject.attached else off
        problem = _difference(never, off, "never triggering", "off")
        apart = len(pictures) > 1 and subject.attached
        if apart and not subject.exact:
            note = "; off and plain are not compared with two pictures in half precision"
        else:
            within = ROUNDING if apart else 0.0
            problem = problem or _difference(off, plain, "off", "the model's own", within=within)
        if problem:
            return failed(
                f"with {len(pictures)} picture(s), {problem}",
                f'try dtype="float32" or another version of transformers, and {REPORT}',
            )
        tokens += len(off)
    ways = "off and never triggering" if subject.attached else "off"
    return ok(
        f"{tokens} tokens of {len(subject.kinds)} answers have the ids and log-probabilities of "
        f"the model's own generate, with MemVR {ways}{note}"
    )


def _answered(
    subject: Subject, pictures: Sequence[PIL.Image.Image], memvr: MemVRConfig | None
) -> _Tokens:
    [done] = subject.answers(subject.ask(*pictures, memvr=memvr))
    return [(token.id, token.logprob) for token in done.tokens]


def _difference(
    one: _Tokens, other: _Tokens, first: str, second: str, *, within: float = 0.0
) -> str | None:
    """The first token in which two answers differ."""
    for at, (here, there) in enumerate(itertools.zip_longest(one, other)):
        same = here and there and here[0] == there[0] and abs(here[1] - there[1]) <= within
        if not same:
            return f"token {at} is {here} ({first}) and {there} ({second})"
    return None


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
def _generated(subject: Subject, pictures: Sequence[PIL.Image.Image]) -> _Tokens:
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

    In float32 ids and triggers are equal, and log-probabilities within 1e-4. In half precision
    rounding depends on the batch, and ids may differ where two tokens are as good as equal.
    """
    if not subject.attached:
        return not_applicable("MemVR can't attach to this model, so it computes a row at a time")
    requests, before = _mixed(subject), subject.backend.steps
    together = subject.answers(*requests)
    if (steps := subject.backend.steps - before) > subject.tokens:
        return failed(f"{len(requests)} requests took {steps} steps, one by one", "free memory")
    difference, gaps, tokens, triggered = 0.0, list[float](), 0, 0
    for request, row in zip(requests, together, strict=True):
        with subject.logprobs() as own:
            [alone] = subject.answers(request)
        pairs = enumerate(zip(_decisions(row), _decisions(alone), strict=False))
        apart = next((n for n, (one, other) in pairs if one != other), None)
        for here, there in zip(row.tokens[:apart], alone.tokens, strict=False):
            difference = max(difference, abs(here.logprob - there.logprob))
        if apart is not None:
            likelier, other = own[apart][0].topk(2).values.tolist()
            gaps.append(likelier - other)
        tokens, triggered = tokens + len(alone.tokens), triggered + alone.retraced
    says = (
        f"{len(requests)} rows, {tokens} tokens, {triggered} triggered: log-probabilities differ "
        f"by {difference:.1e} at most, and {len(gaps)} rows have other ids or triggers"
    )
    if gaps:
        says += f", where the two best tokens were at most {max(gaps):.1e} apart"
    bad = gaps or difference > ROUNDING if subject.exact else gaps and max(gaps) > difference
    advice = f'use dtype="float32" or QueueConfig(max_batch=1), and {REPORT}'
    return failed(says, advice) if bad else ok(says)


def _decisions(done: Completion) -> list[tuple[int, int | None]]:
    return [(token.id, token.trigger_layer) for token in done.tokens]


def _mixed(subject: Subject) -> list[Request]:
    """Requests of all kinds and of different lengths, most with MemVR."""
    # In half precision an entropy near the threshold may round to either side of it.
    memvr = subject.sometimes if subject.exact else subject.always
    longer = "And here, please: is there a dog, or is it something else?"
    asked = [
        subject.ask(*pictures, question=question, memvr=memvr)
        for question, pictures in zip((QUESTION, longer, QUESTION), subject.kinds, strict=False)
    ]
    return [*asked, subject.ask(subject.square, question=longer), subject.ask(subject.wide)]


def stream_equals_whole(subject: Subject) -> Finding:
    """The pieces of a stream make up the answer that comes in one piece."""
    pictures = max(subject.kinds, key=len)
    memvr = subject.sometimes if subject.attached else None
    request = subject.ask(*pictures, memvr=memvr)
    [whole] = subject.answers(request)
    subject.backend.forget()
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
