"""What MemVR did in an answer, as JSON-safe data: the same words in every integration."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

from memvr_integrations.types import Completion, TokenRecord, TopToken


def record(completion: Completion) -> dict[str, object]:
    """How unsure the model was, how often it retraced, and what was checked of the answer."""
    layers = Counter(
        token.trigger_layer for token in completion.tokens if token.trigger_layer is not None
    )
    return {
        "config": asdict(completion.memvr) if completion.memvr else None,
        "decoding": completion.decoding.to_dict() if completion.decoding else None,
        "retraced_tokens": completion.retraced,
        "layers": {str(layer): layers[layer] for layer in sorted(layers)},
        "image_tokens": completion.usage.image_tokens,
        "unsureness": completion.unsureness,
        "boxes": [asdict(box) for box in completion.boxes],
        **_spread("entropy", (token.entropy for token in completion.tokens)),
        **_spread("output_entropy", (token.output_entropy for token in completion.tokens)),
        **completion.checks,
    }


def logprobs(tokens: Iterable[TokenRecord]) -> list[dict[str, object]]:
    """Tokens in OpenAI's shape, each with what MemVR adds."""
    return [
        {
            **_probable(token),
            "top_logprobs": [_probable(one) for one in token.top],
            "entropy": token.entropy,
            "output_entropy": token.output_entropy,
            "trigger_layer": token.trigger_layer,
        }
        for token in tokens
    ]


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
