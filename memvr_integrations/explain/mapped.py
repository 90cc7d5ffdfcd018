"""An answer's words, and maps that say where in the pictures each came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import PIL.Image

from memvr_integrations.errors import ConfigError
from memvr_integrations.explain.boxes import Box, box_of
from memvr_integrations.explain.maps import Map, is_flat

State = Literal["on", "off"]
"""Whether MemVR was in the forward pass that a map is of."""

ExplainMethod = Literal["attention_gradient", "occlusion", "logit_lens", "route", "retracing"]

AGREED = 0.6
"""From this agreement on, a second method says the same place."""

LITTLE = 0.02
"""Below this share of the heat in all pictures, next to nothing came from one of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExplainedToken:
    """One token of the answer.

    Args:
        text: What it adds to the answer.
        logprob: Its natural log-probability, as it was generated.
        output_entropy: Of the model's output there, 0 (sure) to 1; None where it isn't known.
        entropies: Layer to entropy, as far as MemVR probed; empty without it.
        trigger_layer: The layer that triggered; None where none did.
        content: Whether it belongs to a word that says something (no article, no comma).
        score: What the maps explain, with MemVR as it was asked for and off: the token's
            log-probability, or its lead over the other answers (yes over no). Empty where the
            token was not explained.
        maps: With MemVR as it was asked for and off, a map an image. Without MemVR only "off".
        agreement: An image each: how well a second method's map goes with the hottest tenth of the
            first, 0 to 1, .5 by chance; None where there was no second, or a map is constant.
    """

    text: str
    logprob: float
    output_entropy: float | None
    entropies: Mapping[int, float]
    trigger_layer: int | None
    content: bool
    score: Mapping[State, float] = field(default_factory=dict)
    maps: Mapping[State, tuple[Map, ...]] = field(default_factory=dict, repr=False)
    agreement: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class MappedAnswer:
    """An answer, and where in the pictures each word came from.

    Args:
        model: The model that answered.
        question: The last message's text.
        answer: The whole answer's text.
        images: The request's pictures as they came in, in order.
        names: What to call them: their file names, or "Picture 1".
        method: How the maps were made.
        second: The method that `ExplainedToken.agreement` is of; None without one.
        tokens: The answer, token by token.
        ratio: MemVR's retracing ratio; None where MemVR was off, and all maps are "off".
        threshold: MemVR's entropy threshold; None likewise.
        window: MemVR's layers, first and last that are probed; None likewise.
        pixels: Whether the maps were made by covering pixels, because visual tokens aren't patches.
    """

    model: str
    question: str
    answer: str
    images: tuple[PIL.Image.Image, ...]
    names: tuple[str, ...]
    method: ExplainMethod
    second: ExplainMethod | None
    tokens: tuple[ExplainedToken, ...]
    ratio: float | None = None
    threshold: float | None = None
    window: tuple[int, int] | None = None
    pixels: bool = False

    @property
    def state(self) -> State:
        """The state that the answer was given in."""
        return "off" if self.ratio is None else "on"

    def map(
        self, image: int = 0, tokens: Sequence[int] | None = None, *, state: State | None = None
    ) -> Map:
        """What some tokens have in a picture, (rows, columns), never negative.

        Each counts alike, however sure the model was of it: what a token has in all pictures adds
        up to one, and so does the mean over tokens.

        Args:
            image: Which of the request's pictures.
            tokens: Which of the answer's tokens; None: those of words with content whose own maps
                point anywhere, as that of a number hardly does.
            state: "on" or "off"; None: as the answer was given.

        Raises:
            ConfigError: There is no such picture or token, or it was not explained.
        """
        chosen = self.places(tokens)
        state = state or self.state
        self._check(image)
        if any(state not in self.tokens[at].maps for at in chosen):
            raise ConfigError(f"No map was made with MemVR {state}; explain with memvr set.")
        total: Map = np.zeros_like(self.tokens[chosen[0]].maps[state][image])
        for at in chosen:
            whole = sum(float(np.clip(one, 0, None).sum()) for one in self.tokens[at].maps[state])
            if whole:  # also of what is no number, which nothing may hide
                total += np.clip(self.tokens[at].maps[state][image], 0, None) / np.float32(whole)
        return np.asarray(total / len(chosen), np.float32)

    def difference(self, image: int = 0, tokens: Sequence[int] | None = None) -> Map:
        """What MemVR changed in a picture's map, (rows, columns): on less off, of either sign.

        Raises:
            ConfigError: As `map` does; or MemVR was off.
        """
        return self.map(image, tokens, state="on") - self.map(image, tokens, state="off")

    def flat(self, image: int = 0, tokens: Sequence[int] | None = None) -> bool:
        """Whether the map points nowhere in a picture: nothing in it stands out."""
        return is_flat(self.map(image, tokens))

    def box(self, image: int = 0, tokens: Sequence[int] | None = None) -> Box | None:
        """Where in a picture the words came from: (left, top, right, bottom) in its pixels.

        None where the map is flat, where the picture has less than two percent of the heat in all
        of them, or where a second method disagrees: its chance of having more where the map is
        hottest is below .6, and .5 is that of any map.

        Raises:
            ConfigError: As `map` does.
        """
        agreed = self.agreement(image, tokens)
        if (agreed is not None and agreed < AGREED) or self.share(image, tokens) < LITTLE:
            return None
        return box_of(self.images[image].size, self.map(image, tokens))

    def share(
        self, image: int = 0, tokens: Sequence[int] | None = None, *, state: State | None = None
    ) -> float:
        """How much of the heat in all pictures is in one, 0 to 1; 0 where there is none at all.

        Raises:
            ConfigError: As `map` does.
        """
        self._check(image)
        images = range(len(self.images))
        sums = [float(self.map(one, tokens, state=state).sum()) for one in images]
        return sums[image] / sum(sums) if sum(sums) else 0.0

    def agreement(self, image: int = 0, tokens: Sequence[int] | None = None) -> float | None:
        """How far the second method agrees in a picture, the mean over tokens; None without one.

        Raises:
            ConfigError: As `map` does.
        """
        self._check(image)
        found = [self.tokens[at].agreement for at in self.places(tokens)]
        known = [one[image] for one in found if image < len(one)]
        numbers = [one for one in known if one is not None]
        return float(np.mean(numbers)) if numbers else None

    def _stands_out(self, token: int) -> bool:
        return any(not is_flat(one) for one in self.tokens[token].maps[self.state])

    def _check(self, image: int) -> None:
        if not 0 <= image < len(self.images):
            raise ConfigError(
                f"There is no image {image}: the request has {len(self.images)}, counted from 0."
            )

    def places(self, tokens: Sequence[int] | None = None) -> list[int]:
        """The places of the tokens that maps add up: those given, or of content words.

        Raises:
            ConfigError: One of `tokens` was not explained, or nothing was.
        """
        explained = [at for at, token in enumerate(self.tokens) if token.maps]
        if not explained:
            raise ConfigError(
                f"None of the answer's {len(self.tokens)} tokens was explained, so there is no "
                "map. Explain an answer that has words."
            )
        if tokens is None:
            content = [at for at in explained if self.tokens[at].content] or explained
            return [at for at in content if self._stands_out(at)] or content
        missing = [at for at in tokens if at not in explained]
        if missing or not tokens:
            raise ConfigError(
                f"Token {missing[0] if missing else None} was not explained; explained are "
                f"{explained}. Pass tokens={list(tokens)} to explain()."
            )
        return list(tokens)
