"""A tower gives a picture the same features alone and beside others."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image as Pillow

from memvr_integrations.backend import Backend
from memvr_integrations.backend.hosting.noise import Noise
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.backend.hosting.vision import FeatureCache, Features, VisionEncoder

_SIZES = [(60, 60), (30, 60), (60, 60), (60, 30), (60, 60), (30, 60)]


def agree_on_pictures(backend: Backend) -> None:
    host = backend._host
    random = torch.Generator().manual_seed(5)
    pixels = [torch.randint(0, 256, (*size, 3), generator=random) for size in _SIZES]
    pictures = [
        Picture(image=Pillow.fromarray(one.to(torch.uint8).numpy()), hash=str(at))
        for at, one in enumerate(pixels)
    ]
    pictures.append(replace(pictures[0], noise=Noise(step=500, seed=1)))
    prompts = [pictures[:3], [], pictures[3:4], pictures[4:], pictures[:1]]

    def encoded(prompts: Sequence[Sequence[Picture]]) -> list[list[Features]]:
        return vision.encode(prompts)

    vision = VisionEncoder(host.model, host.prompts.shown, FeatureCache(0))
    encode, calls = vision._encode, 0

    def counting(**given: object) -> object:
        nonlocal calls
        calls += 1
        return encode(**given)

    vision._encode = counting  # type: ignore[assignment]
    together, few = encoded(prompts), calls
    calls, vision._most = 0, 1
    alone = encoded(prompts)
    assert few <= 4 < 7 <= calls
    assert [len(own) for own in together] == [3, 0, 1, 3, 1]
    for own, others in zip(together, alone, strict=True):
        for one, other in zip(own, others, strict=True):
            assert one.stacked == other.stacked
            for layer, same in zip(_layers(one), _layers(other), strict=True):
                torch.testing.assert_close(layer, same, rtol=0, atol=1e-5)
    # The pictures are not alike, so a mix-up would show.
    first, second = together[0][0].tokens[0], together[0][2].tokens[0]
    assert not torch.allclose(first, second, rtol=0, atol=1e-4)


def _layers(features: Features) -> list[torch.Tensor]:
    return [torch.cat([*part]) for part in (features.tokens, *features.deepstack)]
