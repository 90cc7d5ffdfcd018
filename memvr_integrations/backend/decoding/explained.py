"""A prompt with its answer, as explanations read it: on the inference thread, between steps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from memvr_integrations.backend.decoding.caches.masks import StepMasks
from memvr_integrations.backend.decoding.caches.streams import SlotStream
from memvr_integrations.backend.decoding.inputs import batch_inputs, encoded
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Picture, Prompt
from memvr_integrations.backend.hosting.regions.regions import regions_of
from memvr_integrations.backend.hosting.vision import Features
from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.explain.reading import Visual
from memvr_integrations.explain.regions import Regions
from memvr_integrations.models.vision_language import CACHE


class AnswerReader:
    """Reads one prompt and then its answer, each in one forward pass.

    Made and used on the inference thread alone.
    """

    def __init__(
        self,
        host: Host,
        masks: StepMasks,
        prompt: Prompt,
        pictures: Sequence[Picture],
        answer: Sequence[int],
    ) -> None:
        """Encode the pictures.

        Raises:
            UnsupportedModelError: The model encodes pictures in a way of its own.
            RequestError: A picture got lost on the way.
        """
        if host.vision is None:
            raise UnsupportedModelError(
                f"{host.name} can't be explained: its visual tokens are out of reach. Choose a "
                "model that `memvr models` lists."
            )
        self._host, self._masks, self._prompt = host, masks, prompt
        self._pictures = pictures
        [features] = encoded(host, [prompt], [pictures])
        self._features = [_plain(one) for one in features]
        self.visual = _visual(self._features)
        ends = np.cumsum([one.count for one in features]).tolist()
        self.spans = list(zip([0, *ends[:-1]], ends, strict=True))
        self.regions: list[Regions] = [
            regions_of(host, picture, one, in_company=len(pictures) > 1)
            for picture, one in zip(pictures, features, strict=True)
        ]
        device = host.model.device
        ids = prompt.inputs["input_ids"][0]
        self.columns = (ids == host.prompts.image_token).nonzero()[:, 0].to(device)
        self.answer = torch.tensor(list(answer), device=device)

    @property
    def model(self) -> nn.Module:
        """The model that reads."""
        return self._host.model

    @property
    def length(self) -> int:
        """How many tokens the prompt has."""
        return self._prompt.length

    def logits(self, rows: Sequence[Visual]) -> Tensor:
        """What the model says at each of the answer's places, (rows, answer, vocabulary)."""
        count = len(rows)
        features = [self._as_features(one) for one in rows]
        inputs = batch_inputs(self._host, [self._prompt] * count, features)
        stream = SlotStream(self._host, self._masks)
        reading = stream.read(inputs, [self.length] * count, real=None)
        first = reading.logits[:, None]
        if len(self.answer) == 1:
            return first
        # Typed as if it could be a tensor.
        model: Any = self._host.model
        following = self.answer[:-1].expand(count, -1)
        given: dict[str, object] = {CACHE: reading.cache, "use_cache": True}
        if reading.positions is not None:
            steps = torch.arange(following.shape[1], device=following.device)
            given["position_ids"] = reading.positions + steps
        out = model(input_ids=following, attention_mask=None, return_dict=True, **given)
        return torch.cat([first, out.logits.float()], 1)

    def covered(self, image: int, box: tuple[float, float, float, float]) -> Visual:
        """What the pictures become where a box in one of them has its mean colour."""
        picture = self._pictures[image]
        pixels = np.asarray(picture.image.convert("RGB")).copy()
        left, top, right, bottom = (round(edge) for edge in box)
        pixels[top:bottom, left:right] = pixels.reshape(-1, 3).mean(0)
        other = replace(
            picture, image=PIL.Image.fromarray(pixels), hash=f"{picture.hash} without {box}"
        )
        pictures = [*self._pictures]
        pictures[image] = other
        assert self._host.vision is not None
        [features] = self._host.vision.encode([pictures])
        return _visual([_plain(one) for one in features])

    def _as_features(self, visual: Visual) -> list[Features]:
        """The pictures' features with these visual tokens in them."""
        found, start = [], 0
        for own in self._features:
            tokens, after = _shaped(visual.tokens, own.tokens, start)
            deep = [
                _shaped(level, kept, start)[0]
                for level, kept in zip(visual.deep, own.deepstack, strict=True)
            ]
            found.append(Features(tokens, deep, own.stacked))
            start = after
        return found


def _plain(features: Features) -> Features:
    """Features that gradients may be taken through, which those made in inference mode are not."""
    return Features(
        [one.clone() for one in features.tokens],
        [[one.clone() for one in level] for level in features.deepstack],
        features.stacked,
    )


def _visual(features: Sequence[Features]) -> Visual:
    levels = range(len(features[0].deepstack))
    return Visual(
        tokens=_flat([one for own in features for one in own.tokens]),
        deep=tuple(_flat([one for own in features for one in own.deepstack[at]]) for at in levels),
    )


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts])


def _shaped(flat: Tensor, like: Sequence[Tensor], start: int) -> tuple[list[Tensor], int]:
    """Tokens from `start` on in the shapes of some tensors, and where the next ones begin."""
    parts = []
    for one in like:
        end = start + one.shape[:-1].numel()
        parts.append(flat[start:end].view_as(one))
        start = end
    return parts, start
