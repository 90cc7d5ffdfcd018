"""From an answer to its explanation, slice by slice."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from memvr_integrations.errors import ConfigError, UnsupportedModelError
from memvr_integrations.explain.config import ExplainConfig
from memvr_integrations.explain.explanation import Explanation
from memvr_integrations.explain.mapped import ExplainedToken, ExplainMethod, State
from memvr_integrations.explain.maps import Map, agreement
from memvr_integrations.explain.methods import METHODS
from memvr_integrations.explain.methods.method import Found
from memvr_integrations.explain.reading import Reader, Target
from memvr_integrations.explain.replay import Replay
from memvr_integrations.memvr import MemVRConfig

_BACKWARD: tuple[ExplainMethod, ...] = ("attention_gradient", "route", "retracing")
_SECOND: dict[ExplainMethod, ExplainMethod] = {
    "attention_gradient": "occlusion",
    "route": "occlusion",
    "logit_lens": "occlusion",
    "retracing": "occlusion",
    "occlusion": "attention_gradient",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """An answer that is to be explained, and what is shown beside it.

    `tokens` have no maps yet; `ids` and `rivals` are theirs, a rival being the token whose
    log-probability is taken away, as "No" for "Yes".
    """

    model: str
    question: str
    answer: str
    images: tuple[PIL.Image.Image, ...]
    names: tuple[str, ...]
    tokens: tuple[ExplainedToken, ...]
    ids: tuple[int, ...]
    rivals: tuple[int | None, ...]
    memvr: MemVRConfig | None


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Which maps are made: of each state by `method`, of the first by `second` too."""

    method: ExplainMethod
    second: ExplainMethod | None
    states: tuple[State, ...]

    def passes(self) -> list[tuple[State, ExplainMethod]]:
        made = [(state, self.method) for state in self.states]
        return made if self.second is None else [*made, (self.states[0], self.second)]


def explained(
    given: Given, reader: Reader, replay: Replay | None, config: ExplainConfig, *, gradients: bool
) -> Generator[float, None, Explanation]:
    """Explain an answer; yields what share of the work is done, and returns the explanation.

    `replay` is MemVR as it acted in the answer, None where it was off; `gradients` whether the
    model has them.

    Raises:
        ConfigError: What is asked for doesn't fit the answer.
        UnsupportedModelError: The method can't be used on this model.
    """
    patches = all(regions.patches for regions in reader.regions)
    method = _method(given.model, config.method, gradients=gradients, patches=patches)
    both = config.second and patches and (gradients or method != "occlusion")
    compare = replay is not None and config.compare and method != "retracing"
    plan = _Plan(
        method=method,
        second=_SECOND[method] if both else None,
        states=("off",) if replay is None else ("on", "off") if compare else ("on",),
    )
    places, passes = config.chosen(given.tokens), plan.passes()
    targets = [Target(place=at, token=given.ids[at], rival=given.rivals[at]) for at in places]
    results: list[Found] = []
    for number, (state, how) in enumerate(passes):
        found = Found()
        results.append(found)
        slices = METHODS[how](reader, targets, replay if state == "on" else None, found)
        for done, work in enumerate(slices, start=1):
            work()
            yield (number + done / len(slices)) / len(passes)
    every = [_maps(reader, found, places) for found in results]
    tokens = list(given.tokens)
    for at in places:
        maps = [one[at] for one in every]
        tokens[at] = replace(
            tokens[at],
            score={state: one.scores[at] for state, one in zip(plan.states, results, strict=False)},
            maps=dict(zip(plan.states, maps, strict=False)),
            agreement=_agreements(maps[0], None if plan.second is None else maps[-1]),
        )
    return _explanation(given, plan, tokens, None if replay is None else given.memvr, patches)


def _method(
    model: str, asked: ExplainMethod | None, *, gradients: bool, patches: bool
) -> ExplainMethod:
    """How maps are made where a model has gradients, and visual tokens that are patches, or not."""
    method = asked or ("attention_gradient" if gradients else "occlusion")
    if method in _BACKWARD and not gradients:
        raise UnsupportedModelError(
            f"{model}'s weights are packed, and gradients through them can't be trusted, "
            f"which {method!r} needs. Explain with method='occlusion'."
        )
    if method == "occlusion" or patches:
        return method
    if asked is None:
        return "occlusion"
    raise ConfigError(
        f"{model}'s visual tokens are no patches of the picture, so {method!r} has "
        "no map. Explain with method='occlusion', which paints over the picture."
    )


def _explanation(
    given: Given,
    plan: _Plan,
    tokens: Sequence[ExplainedToken],
    memvr: MemVRConfig | None,
    patches: bool,
) -> Explanation:
    return Explanation(
        model=given.model,
        question=given.question,
        answer=given.answer,
        images=given.images,
        names=given.names,
        method=plan.method,
        second=plan.second,
        tokens=tuple(tokens),
        ratio=None if memvr is None else memvr.retracing_ratio,
        threshold=None if memvr is None else memvr.entropy_threshold,
        window=None if memvr is None else (memvr.starting_layer + 1, memvr.ending_layer - 1),
        pixels=not patches,
    )


def _maps(reader: Reader, found: Found, places: Sequence[int]) -> dict[int, tuple[Map, ...]]:
    maps = {}
    for at in places:
        values: NDArray[np.float32] = found.values[at].numpy().astype(np.float32)
        painted = found.painted.get(at, {})
        maps[at] = tuple(
            painted[image] if image in painted else regions.paint(values[start:end])
            for image, (regions, (start, end)) in enumerate(
                zip(reader.regions, reader.spans, strict=True)
            )
        )
    return maps


def _agreements(own: Sequence[Map], other: Sequence[Map] | None) -> tuple[float | None, ...]:
    if other is None:
        return (None,) * len(own)
    return tuple(agreement(one, two) for one, two in zip(own, other, strict=True))
