"""Ways to break a model: numbers in its weights, or in what it says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

NAN, INF = float("nan"), float("inf")
END, CERTAIN = 2, 5  # the end token; one that a model may be made to say for ever

Weights: TypeAlias = Callable[[PreTrainedModel], Iterable[Tensor]]
Logits: TypeAlias = Callable[[Tensor, int], None]  # with the number of the forward, from 1 on


@dataclass
class Counted:
    """How many forwards a model made since somebody set this to 0."""

    forwards: int = 0


@dataclass(frozen=True, kw_only=True)
class Break:
    """One way; `damages` says that no answer is worth anything then.

    With `pictures_alone` only requests with pictures are concerned, with `late` the first forwards
    are sound. Either `weights` are filled with `value`, or `logits` are changed in place.
    """

    name: str
    damages: bool = False
    pictures_alone: bool = False
    late: bool = False
    weights: Weights | None = None
    value: float = NAN
    logits: Logits | None = None

    def apply(self, model: PreTrainedModel) -> Counted:
        """Break the model, for as long as it lives."""
        counted = Counted()
        if self.weights is not None:
            with torch.no_grad():
                for weight in self.weights(model):
                    weight.fill_(self.value)
        if self.logits is not None:
            change = self.logits

            def spoil(module: nn.Module, args: object, out: object) -> object:
                counted.forwards += 1
                change(out.logits, counted.forwards)  # type: ignore[attr-defined]
                return out

            model.register_forward_hook(spoil)
        return counted


def _everything(model: PreTrainedModel) -> Iterable[Tensor]:
    return model.parameters()


def _a_layer(model: PreTrainedModel) -> Iterable[Tensor]:
    layer: nn.Module = model.get_decoder().layers[2]
    return layer.parameters()


def _head(model: PreTrainedModel) -> Iterable[Tensor]:
    return model.get_output_embeddings().parameters()


def _one_row_of_the_head(model: PreTrainedModel) -> Iterable[Tensor]:
    return [next(iter(_head(model)))[CERTAIN]]


def _tower(model: PreTrainedModel) -> Iterable[Tensor]:
    names = ("vision", "visual")
    return [weight for name, weight in model.named_parameters() if any(n in name for n in names)]


def _later(logits: Tensor, forward: int) -> None:
    if forward > 3:
        logits.fill_(NAN)


def _filled(value: float) -> Logits:
    def fill(logits: Tensor, forward: int) -> None:
        logits.fill_(value)

    return fill


def _one_infinite(logits: Tensor, forward: int) -> None:
    logits[..., CERTAIN] = INF


def _ends(other: float) -> Logits:
    def end(logits: Tensor, forward: int) -> None:
        logits.fill_(other)
        logits[..., END] = 10.0

    return end


def _never_ends(logits: Tensor, forward: int) -> None:
    logits[..., END] = -INF


def _one_word(logits: Tensor, forward: int) -> None:
    logits[..., CERTAIN] = 1e4


_PARTS: dict[str, Weights] = {
    "all weights": _everything,
    "a layer": _a_layer,
    "the head": _head,
    "one row of the head": _one_row_of_the_head,
    "the vision tower": _tower,
}
BREAKS = (
    *(
        Break(
            name=f"{value} in {part}",
            damages=True,
            pictures_alone=part == "the vision tower",
            weights=weights,
            value=float(value),
        )
        for value in ("NaN", "Inf")
        for part, weights in _PARTS.items()
    ),
    Break(name="NaN after three forwards", damages=True, late=True, logits=_later),
    Break(name="every logit is -Inf", damages=True, logits=_filled(-INF)),
    Break(name="one logit is Inf", damages=True, logits=_one_infinite),
    Break(name="all logits are the same", logits=_filled(3.0)),
    Break(name="it ends at once", logits=_ends(-10.0)),
    Break(name="it can only end", logits=_ends(-INF)),
    Break(name="it never ends", logits=_never_ends),
    Break(name="it says one word for ever, which no schema allows", logits=_one_word),
)
