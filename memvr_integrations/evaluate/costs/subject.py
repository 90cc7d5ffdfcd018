"""A model that is measured, what it is asked about, and the clocks that it is measured with."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import PIL.Image
import torch

from memvr_integrations.backend.hosting.load_config import Dtype, LoadConfig
from memvr_integrations.backend.hosting.loading import LoadedModel, load_model, pick_device
from memvr_integrations.backend.serving.backend import Backend
from memvr_integrations.bundled import KNOWN_THEMES
from memvr_integrations.bundled.world.scenes import SPRITES, Sprites, draw_scene
from memvr_integrations.evaluate.costs.shapes import SHAPES, random_model
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Request, SamplingParams


def drawn_pictures() -> Iterator[PIL.Image.Image]:
    """Scenes without an end, each another one: nobody profits from what is kept."""
    rng, sprites = random.Random(0), Sprites(SPRITES)
    while True:
        yield PIL.Image.fromarray(draw_scene(rng, sprites, KNOWN_THEMES).pixels)


@dataclass(frozen=True)
class Subject:
    """A model whose answers end at `max_tokens` alone, so that all ways have the same length."""

    loaded: LoadedModel
    pictures: Iterator[PIL.Image.Image]

    @classmethod
    def load(cls, name: str, *, device: str = "auto", dtype: Dtype = "auto") -> "Subject":
        """Load a model, or make one of `SHAPES`."""
        if name not in SHAPES:
            return cls.of(load_model(name, LoadConfig(device=device, dtype=dtype, progress=False)))
        chosen = pick_device(device)
        auto = torch.float32 if chosen.type == "cpu" else torch.bfloat16
        exact = auto if dtype == "auto" else getattr(torch, dtype)
        return cls.of(random_model(name, SHAPES[name](), chosen, exact))

    @classmethod
    def of(cls, loaded: LoadedModel) -> "Subject":
        """A loaded model, changed so that no token ends an answer."""
        beyond = loaded.model.config.get_text_config().vocab_size
        loaded.model.generation_config.eos_token_id = beyond
        return cls(loaded, drawn_pictures())

    @property
    def preset(self) -> MemVRConfig:
        """What `memvr=True` means for it."""
        with Backend(self.loaded) as backend:
            return backend.preset

    @property
    def on_cpu(self) -> bool:
        """Whether the processor computes it."""
        return self.loaded.model.device.type == "cpu"

    def ask(self, tokens: int, question: str = "Describe the image.") -> Request:
        """A question about a fresh picture, with the model's preset."""
        sampling = SamplingParams(max_tokens=tokens)
        return Request.ask(question, next(self.pictures), sampling=sampling)

    def seconds(self) -> float:
        """The clock of the whole process: its processor time; on other devices real time."""
        return time.process_time() if self.on_cpu else self.synchronized()

    def thread_seconds(self) -> float:
        """The clock of the calling thread, which others on the machine disturb least."""
        return time.thread_time() if self.on_cpu else self.synchronized()

    def synchronized(self) -> float:
        """Real time, when the device has done all that it was given."""
        if self.loaded.model.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """Compute in one thread, as several would wait for each other in processor time."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def settle(backend: Backend) -> None:
    """Wait until the model is let go: the last token is reported before that."""
    while backend.busy:
        time.sleep(0.0005)
