"""What MemVR did in an answer, as JSON-safe data: the same words in every integration.

`answered` reads it back, so that an answer which a framework kept can be explained later.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from memvr_integrations.errors import RequestError
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.types import Completion, TokenRecord, TopToken, Usage

EXPLAIN = "explain(messages, answer=answer)"
"""How to have an answer explained that carries its tokens, in every integration."""


def record(completion: Completion, *, logprobs: bool) -> dict[str, object]:
    """How unsure the model was, how often it retraced, and what was checked of the answer.

    `logprobs` is whether the answer carries its tokens beside this.
    """
    seen = completion.usage.image_tokens > 0
    layers = Counter(
        token.trigger_layer for token in completion.tokens if token.trigger_layer is not None
    )
    return {
        "config": asdict(completion.memvr) if completion.memvr else None,
        "decoding": completion.decoding.to_dict() if completion.decoding else None,
        "retraced_tokens": completion.retraced,
        "layers": {str(layer): layers[layer] for layer in sorted(layers)},
        "prompt_tokens": completion.usage.prompt_tokens,
        "image_tokens": completion.usage.image_tokens,
        "unsureness": completion.unsureness,
        "boxes": [asdict(box) for box in completion.boxes],
        "explain": EXPLAIN if seen and logprobs else None,
        **_spread("entropy", (token.entropy for token in completion.tokens)),
        **_spread("output_entropy", (token.output_entropy for token in completion.tokens)),
        **completion.checks,
    }


def logprobs(tokens: Iterable[TokenRecord]) -> list[dict[str, object]]:
    """Tokens in OpenAI's shape, each with what MemVR adds."""
    return [
        {
            **_probable(token),
            "id": token.id,
            "top_logprobs": [_probable(one) for one in token.top],
            "entropy": token.entropy,
            "output_entropy": token.output_entropy,
            "trigger_layer": token.trigger_layer,
            "entropies": {str(layer): value for layer, value in token.entropies.items()},
        }
        for token in tokens
    ]


def answered(text: str, *, model: object, record: object, tokens: object) -> Completion:
    """An answer by what was reported of it, as far as an explanation needs it.

    `record` is what `record()` gave, `tokens` what `logprobs()` did.

    Raises:
        RequestError: They are no such reports, or it was asked for without logprobs.
    """
    if not isinstance(record, Mapping) or "prompt_tokens" not in record:
        raise RequestError(
            f"The answer {text[:200]!r} has no record of MemVR's, so it can't be explained as it "
            "is. Pass what the model gave back, or leave answer= out: then it is asked anew."
        )
    if not isinstance(tokens, Sequence) or not tokens:
        raise RequestError(
            f"The answer {text[:200]!r} carries no tokens: it was asked for with logprobs=False. "
            "Ask with logprobs=True, or leave answer= out: then it is asked anew."
        )
    counts = Usage(
        prompt_tokens=record["prompt_tokens"],
        image_tokens=record["image_tokens"],
        completion_tokens=len(tokens),
    )
    config = record["config"]
    return Completion(
        text=record.get("withheld") or text,
        finish_reason="stop",
        usage=counts,
        tokens=tuple(map(_token, tokens)),
        model=str(model),
        memvr=MemVRConfig.from_dict(config) if config else None,
    )


def _token(form: Mapping[str, Any]) -> TokenRecord:
    return TokenRecord(
        id=form["id"],
        text=form["token"],
        logprob=form["logprob"],
        entropy=form["entropy"],
        trigger_layer=form["trigger_layer"],
        output_entropy=form["output_entropy"],
        entropies={int(layer): value for layer, value in form["entropies"].items()},
    )


def _probable(token: TokenRecord | TopToken) -> dict[str, object]:
    return {
        "token": token.text,
        "logprob": token.logprob,
        "bytes": list(token.text.encode()),
    }


def _spread(name: str, values: Iterable[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {
        f"mean_{name}": sum(known) / len(known) if known else None,
        f"max_{name}": max(known, default=None),
    }
