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
    method: ExplainMethod = config.method or ("attention_gradient" if gradients else "occlusion")
    if method in _BACKWARD and not gradients:
        raise UnsupportedModelError(
            f"{given.model}'s weights are packed, and gradients through them can't be trusted, "
            f"which {method!r} needs. Explain with method='occlusion'."
        )
    if method != "occlusion" and not all(regions.patches for regions in reader.regions):
        if config.method is not None:
            raise ConfigError(
                f"{given.model}'s visual tokens are no patches of the picture, so {method!r} has "
                "no map. Explain with method='occlusion', which paints over the picture."
            )
        method = "occlusion"
    second = _SECOND[method] if config.second and (gradients or method != "occlusion") else None
    places = config.chosen(given.tokens)
    targets = [Target(place=at, token=given.ids[at], rival=given.rivals[at]) for at in places]
    states: list[State] = ["off"] if replay is None else ["on"]
    if replay is not None and config.compare and method != "retracing":
        states.append("off")
    passes = [(state, method) for state in states]
    if second is not None and all(regions.patches for regions in reader.regions):
        passes.append((states[0], second))
    results: list[Found] = []
    for number, (state, how) in enumerate(passes):
        found = Found()
        results.append(found)
        slices = METHODS[how](reader, targets, replay if state == "on" else None, found)
        for done, work in enumerate(slices, start=1):
            work()
            yield (number + done / len(slices)) / len(passes)
    maps = [_maps(reader, found, places) for found in results]
    other = maps.pop() if len(results) > len(states) else None
    tokens = list(given.tokens)
    for at in places:
        own = {state: found[at] for state, found in zip(states, maps, strict=True)}
        tokens[at] = replace(
            tokens[at],
            score={state: found.scores[at] for state, found in zip(states, results, strict=False)},
            maps=own,
            agreement=_agreements(own[states[0]], None if other is None else other[at]),
        )
    memvr = given.memvr if replay is not None else None
    return Explanation(
        model=given.model,
        question=given.question,
        answer=given.answer,
        images=given.images,
        names=given.names,
        method=method,
        second=second if other is not None else None,
        tokens=tuple(tokens),
        ratio=None if memvr is None else memvr.retracing_ratio,
        threshold=None if memvr is None else memvr.entropy_threshold,
        window=None if memvr is None else (memvr.starting_layer + 1, memvr.ending_layer - 1),
        pixels=not all(regions.patches for regions in reader.regions),
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
