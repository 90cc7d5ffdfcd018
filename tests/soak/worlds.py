"""The models that soaks ask: the one in the box, and tiny ones of several families."""

import itertools
import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import transformers
from asks import Material
from families import FAMILIES
from PIL import Image as Pillow
from tiny_family import LAYERS

from memvr_integrations.backend import Backend, QueueConfig, Request, SamplingParams
from memvr_integrations.bundled.world.scenes import SPRITES, Sprites, draw_scene
from memvr_integrations.bundled.world.words import THEMES
from memvr_integrations.memvr import MemVRConfig

# Tiles; rope in three dimensions; a sliding window; experts; one picture as it is.
TINY = ("idefics3", "qwen2_5_vl", "gemma3", "qwen3_vl_moe", "llava")
# A family is asked so many requests before the next has its turn.
TURN = 200
PICTURES = 60
CACHE_BYTES = 2**20  # room for some of the pictures, so that it is full soon


@dataclass(frozen=True, kw_only=True)
class World:
    """One model twice, among many callers and alone, and what requests to it are made of."""

    busy: Backend
    alone: Backend
    material: Material


def kind_of(model: str, number: int) -> str:
    """Which model request `number` goes to."""
    if model == "bundled":
        return "bundled"
    return TINY[number // TURN % len(TINY)]


@contextmanager
def world(kind: str) -> Iterator[World]:
    """Load it, and close it at the end."""
    transformers.utils.logging.disable_progress_bar()  # which leaves a thread
    with tempfile.TemporaryDirectory() as folder:
        source = kind if kind == "bundled" else str(FAMILIES[kind].save(kind, Path(folder)))
        busy = Backend.load(source, device="cpu", progress=False, cache_bytes=CACHE_BYTES)
        alone = Backend.load(
            source,
            device="cpu",
            progress=False,
            queueing=QueueConfig(max_batch=1),
            cache_bytes=0,
        )
        with _closing(busy), _closing(alone):
            pictures = _scenes() if kind == "bundled" else noise(PICTURES)
            one, two = (
                alone.count(Request.ask("What?", *pictures[:count])).prompt_tokens
                for count in (1, 2)
            )
            material = Material(
                pictures=pictures,
                most=(alone.context - 150) // (two - one),
                context=alone.context,
                memvr=_settings(alone, pictures[0]),
                student=source,
            )
            yield World(busy=busy, alone=alone, material=material)


@contextmanager
def _closing(backend: Backend) -> Iterator[None]:
    """Close it at the end, which waits for its thread: but not for ever, should that hang."""
    try:
        yield
    finally:
        closing = threading.Thread(target=backend.close, daemon=True)
        closing.start()
        closing.join(60)


def _scenes() -> list[Pillow.Image]:
    sprites = Sprites(SPRITES)
    drawn = (draw_scene(random.Random(seed), sprites, tuple(THEMES)) for seed in range(PICTURES))
    return [Pillow.fromarray(scene.pixels) for scene in drawn]


def noise(count: int) -> list[Pillow.Image]:
    """Pictures of all shapes that show nothing."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        height, width = rng.integers(20, 90, 2)
        made.append(Pillow.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)))
    return made


def _settings(backend: Backend, picture: Pillow.Image) -> list[MemVRConfig]:
    """Settings under which some tokens have a trigger and others don't."""
    never = MemVRConfig(
        starting_layer=0, ending_layer=LAYERS - 1, entropy_threshold=2.0, retracing_ratio=0.3
    )
    asked = [
        Request.ask(question, picture, memvr=never, sampling=SamplingParams(max_tokens=12))
        for question in ("What is it?", "Is there a dog?", "Where?")
    ]
    tokens = [token for done in backend.generate(asked) for token in done.tokens]
    seen = sorted(token.entropy for token in tokens if token.entropy is not None)
    # In the widest gap of the middle, so that rounding decides as seldom as may be.
    low, high = max(
        itertools.pairwise(seen[len(seen) // 4 : -2]), key=lambda pair: pair[1] - pair[0]
    )
    sometimes = never.changed({"entropy_threshold": (low + high) / 2})
    return [
        sometimes,
        sometimes.changed({"activation": "silu", "retracing_ratio": 0.5}),
        sometimes.changed({"scope": "last", "entropy_threshold": 0.0}),
    ]
