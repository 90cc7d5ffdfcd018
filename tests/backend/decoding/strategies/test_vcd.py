"""Visual contrastive decoding against its formula."""

import hashlib
import math

import decoding_reference as reference
import torch

from memvr_integrations.backend.images import load_image, pixel_hash
from memvr_integrations.types.decoding import VCDConfig


def noisy(pixels, step, seed, picture):
    """The published schedule, step by step."""
    kept = 1.0
    for t in range(step + 1):
        ramp = 1 / (1 + math.exp(-(-6 + 12 * t / 999)))
        kept *= 1 - (ramp * (0.5e-2 - 1e-5) + 1e-5)
    digest = hashlib.sha256(f"{seed} {picture}".encode()).digest()
    random = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    eps = torch.randn(pixels.shape, generator=random)
    return math.sqrt(kept) * pixels + math.sqrt(1 - kept) * eps


def test_it_is_its_formula(backend, loaded, ask, scenes, endless):
    config = VCDConfig(alpha=2.5, beta=0.01, noise_step=800)
    with endless(backend):
        [answer] = backend.generate(
            ask("Describe it.", 3, max_tokens=8, seed=11, memvr=None, decoding=config)
        )
    clear = reference.read(loaded, scenes, "Describe it.", 3)
    picture = pixel_hash(load_image(scenes[3].pixels))
    pixels = noisy(clear.inputs["pixel_values"], 800, 11, picture)
    blurred = clear.changed(pixel_values=pixels)

    def step(ids):
        own = clear.logits(ids)
        mixed = (1 + 2.5) * own - 2.5 * blurred.logits(ids)
        mixed[own.isneginf()] = -math.inf
        return reference.cut(mixed, own, 0.01)

    reference.same(answer, *reference.greedy(step, 8))


def test_noise_is_the_requests_and_the_pictures(make_backend, ask, endless):
    backend = make_backend()
    request = {"max_tokens": 3, "memvr": None, "decoding": VCDConfig(alpha=1, beta=0)}
    with endless(backend):
        first, again, other = (
            backend.generate(ask("What?", 1, seed=seed, **request))[0] for seed in (1, 1, 2)
        )
    assert first.tokens == again.tokens
    assert first.tokens[0].logprob != other.tokens[0].logprob
    assert backend.images_encoded == 3  # clear, and through two noises
