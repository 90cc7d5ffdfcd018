"""What many tests share: half of the bundled model, once, scenes, and ways to break it.

What a backend and its callers have to keep does not need a good model, and half of one takes half
of the time. So no test says what it answers; where an answer must be of a certain kind, `scripted`
dictates it. `whole` is for tests of what the model knows.
"""

import functools
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import chromium
import pytest
import torch
from bundled_settings import FIRST_THEMES
from hooked import Endless, attached

from memvr_integrations.backend import Backend, Image, Message, Request, SamplingParams
from memvr_integrations.backend.decoding.caches.slots import SlotCache
from memvr_integrations.backend.hosting import loading
from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import LoadedModel, load_model
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world.scenes import SPRITES, Scene, Sprites, draw_scene
from memvr_integrations.memvr.arming.calls import cache_in, positions_in

if TYPE_CHECKING:
    from memvr_integrations.evaluate import Benchmark

IMAGE_TOKENS = 64
END = 2
LAYERS = 6


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # of several processes, which share the cores
        torch.set_num_threads(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    if item.get_closest_marker("browser") and (lacking := chromium.missing()) is not None:
        pytest.skip(lacking)


def half(attention: str | None = None) -> LoadedModel:
    made = load_model("bundled", LoadConfig(device="cpu", progress=False, attention=attention))
    decoder = made.model.get_decoder()
    decoder.layers = decoder.layers[:LAYERS]
    made.model.config.text_config.num_hidden_layers = LAYERS
    return made


@pytest.fixture(scope="session")
def halve() -> Callable[..., LoadedModel]:
    return half


@pytest.fixture(scope="session")
def loaded() -> LoadedModel:
    return half()


@pytest.fixture(scope="session")
def backend() -> Iterator[Backend]:
    # Without kept prompts: what one test asked must not change how another's numbers are rounded.
    with Backend(half(), prefix_bytes=0) as shared:
        yield shared


@pytest.fixture
def half_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Backend.load` gives half of the bundled model."""
    monkeypatch.setattr(Backend, "load", lambda name, **options: Backend(half()))


@pytest.fixture(scope="session")
def whole() -> Iterator[Backend]:
    """The bundled model with all its layers, where it has to be right."""
    with Backend.load("bundled", device="cpu", progress=False) as shared:
        yield shared


@pytest.fixture
def half_of_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Integrations that load the bundled model by the path of its folder are given half of it.

    By that path alone: they share what was loaded by name with those who want it whole.
    """
    whole = loading.load_model

    def load(name: str | Path, config: LoadConfig) -> LoadedModel:
        return half() if name == str(WEIGHTS) else whole(name, config)

    monkeypatch.setattr(loading, "load_model", load)


@pytest.fixture(scope="session")
def kept_model() -> Callable[[str | Path, LoadConfig], LoadedModel]:
    return functools.cache(load_model)


@pytest.fixture
def loads_once(
    monkeypatch: pytest.MonkeyPatch, kept_model: Callable[[str | Path, LoadConfig], LoadedModel]
) -> None:
    """Who loads a model as somebody did before is given that one; they must not run it at once."""
    monkeypatch.setattr(loading, "load_model", kept_model)
    monkeypatch.setattr("memvr_integrations.backend.serving.backend.load_model", kept_model)


@pytest.fixture
def make_backend(loaded: LoadedModel) -> Iterator[Callable[..., Backend]]:
    """More backends around one model in memory; use one at a time.

    They keep no prompts unless it is asked for, so that equal requests have equal forwards.
    """
    made: list[Backend] = []

    def make(**options: object) -> Backend:
        options = {"prefix_bytes": 0} | options
        made.append(Backend(loaded, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def fresh(make_backend: Callable[..., Backend]) -> Backend:
    """A backend that has computed nothing yet."""
    return make_backend()


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    sprites = Sprites(SPRITES)
    return [draw_scene(random.Random(seed), sprites, FIRST_THEMES) for seed in range(6)]


@pytest.fixture(scope="session")
def scene_file(scenes: list[Scene], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image as Pillow

    file = tmp_path_factory.mktemp("scenes") / "scene.png"
    Pillow.fromarray(scenes[0].pixels).save(file)
    return file


@pytest.fixture(scope="session")
def eight_scenes() -> "Benchmark":
    from memvr_integrations.evaluate import load_scenes

    scenes = load_scenes(count=8)
    return replace(scenes, questions=scenes.questions[::3])


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch, eight_scenes: "Benchmark") -> "Benchmark":
    """The drawn benchmark with a third of its questions."""
    from memvr_integrations.evaluate.benchmarks import bundled_scenes

    monkeypatch.setattr(bundled_scenes, "load_scenes", lambda: eight_scenes)
    return eight_scenes


@pytest.fixture
def endless() -> Callable[[Backend], AbstractContextManager[Endless]]:
    @contextmanager
    def attach(backend: Backend) -> Iterator[Endless]:
        hook = Endless()
        with attached(backend, hook):
            yield hook

    return attach


@pytest.fixture
def scripted() -> Callable[[Backend, Sequence[int]], AbstractContextManager[None]]:
    """While attached, every answer is the given ids (one batch at a time, then the end token)."""

    @contextmanager
    def attach(backend: Backend, ids: Sequence[int]) -> Iterator[None]:
        at = 0

        def dictate(module: object, args: object, out: object) -> object:
            nonlocal at
            logits = out.logits  # type: ignore[attr-defined]
            at = 0 if logits.shape[1] > 1 or _is_prompt(out) else at + 1
            logits.fill_(-10.0)
            logits[..., ids[at] if at < len(ids) else END] = 10.0
            return out

        with attached(backend, dictate):
            yield

    seen: dict[str, int] = {}

    def _is_prompt(out: Mapping[str, object]) -> bool:
        if isinstance(cache_in(out), SlotCache):
            return False  # it is filled from other caches
        length = positions_in(cache_in(out))
        fresh = seen.get("length") is None or length <= seen["length"]
        seen["length"] = length
        return fresh

    return attach


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy of the bundled checkpoint, to be damaged."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for file in WEIGHTS.iterdir():
        shutil.copy(file, folder / file.name)
    return folder


@pytest.fixture
def ids_of(backend: Backend) -> Callable[[str], list[int]]:
    """Token ids of a text as an answer has them."""

    def encode(text: str) -> list[int]:
        ids: list[int] = backend._host.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    return encode


@pytest.fixture
def ask(scenes: list[Scene]) -> Callable[..., Request]:
    """A request about scenes by number; keywords are sampling parameters, or the request's."""

    def make(
        question: str = "What is in the picture?", *numbers: int, **options: object
    ) -> Request:
        known = ("memvr", "timeout", "decoding", "evidence", "response_format")
        own = {key: options.pop(key) for key in known if key in options}
        content = [Image(scenes[number].pixels) for number in numbers]
        return Request(
            messages=(Message("user", [*content, question]),),
            sampling=SamplingParams(**options),  # type: ignore[arg-type]
            **own,  # type: ignore[arg-type]
        )

    return make
