"""Requests of every kind, and how their callers leave; request i of a seed is always the same."""

import base64
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from PIL import Image as Pillow

from memvr_integrations.backend import Image, Message, Request, SamplingParams, Tool
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import STRATEGIES, ToolCall
from memvr_integrations.types.decoding import DecodingConfig

Way: TypeAlias = Literal["generate", "stream", "agenerate", "astream"]
Leaving: TypeAlias = Literal["closed", "dropped", "error thrown in", "cancelled", "overtaken"]

# How a caller can leave each way of asking; nothing ends `generate` but its time-out.
LEAVING: dict[Way, tuple[Leaving, ...]] = {
    "generate": (),
    "stream": ("closed", "dropped", "error thrown in"),
    "agenerate": ("cancelled", "overtaken"),
    "astream": ("closed", "dropped", "error thrown in", "cancelled", "overtaken"),
}
WORDS = (
    "Is",
    "there",
    "a",
    "red",
    "dog",
    "near",
    "two",
    "cats",
    "or",
    "what",
    "under",
    "the",
    "tree",
)
COLOURS = ("red", "green", "blue", "white")
# Weaker than usual where that takes too long, or would drown a tiny model.
SETTINGS: dict[str, dict[str, object]] = {
    "opera": {"beams": 2, "candidates": 2},
    "rudder": {"strength": 1.0},
    "yes-bias": {"bias": 4.0},
}


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One call: what is asked, in which way, and when its caller leaves.

    An iterator is left after `chunks` chunks, a task after `seconds`. `hurried` says that the
    request's time-out is too short for any answer.
    """

    number: int
    request: Request
    way: Way
    leaving: Leaving | None = None
    chunks: int = 0
    seconds: float = 0.0
    hurried: bool = False

    @property
    def blocking(self) -> bool:
        """Whether a thread asks, not a task."""
        return self.way in ("generate", "stream")


@dataclass(frozen=True, kw_only=True)
class Material:
    """What requests to one model are made of; `most` is how many pictures it can read at once."""

    pictures: Sequence[Pillow.Image]
    most: int
    context: int
    memvr: Sequence[MemVRConfig]
    student: str


class Asks:
    """Makes the requests of a seed to one model."""

    def __init__(self, seed: int, material: Material) -> None:
        self._seed, self._material = seed, material

    def __call__(self, number: int) -> Ask:
        """Request `number`."""
        rng = random.Random(f"{self._seed}/{number}")
        hurried = rng.random() < 0.03
        request = self._refused(rng) if rng.random() < 0.04 else self._answered(rng, hurried)
        ways: list[Way] = ["generate", "stream", "agenerate", "astream"]
        strategy = request.strategy
        if strategy is not None and strategy.whole:
            ways = ["generate", "agenerate"]
        way = rng.choice(ways)
        leaves = bool(LEAVING[way]) and rng.random() < 0.55
        return Ask(
            number=number,
            request=request,
            way=way,
            leaving=rng.choice(LEAVING[way]) if leaves else None,
            chunks=rng.choice((0, 1, 1, 2, 3, 5)),
            seconds=10 ** rng.uniform(-3, 0.3),
            hurried=hurried and request.timeout is not None,
        )

    def _refused(self, rng: random.Random) -> Request:
        reasons = ("too long", "empty", "too many pictures", "window")
        match rng.choice(reasons):
            case "too long":
                return Request.ask("word " * self._material.context)
            case "empty":
                return Request.ask("  ")
            case "too many pictures":
                return Request.ask("What?", *self._material.pictures[:1] * 500)
        window = MemVRConfig(starting_layer=70, ending_layer=90)
        return Request.ask("What?", self._material.pictures[0], memvr=window)

    def _answered(self, rng: random.Random, hurried: bool) -> Request:
        kind = rng.choices(("words", "schema", "tools"), (0.7, 0.15, 0.15))[0]
        images = self._images(rng)
        decoding = self._strategy(rng, plain=kind != "words")
        whole = decoding is not None and decoding.whole
        timeout = 1e-4 if hurried else rng.choice((None, 600.0) * 6 + (10 ** rng.uniform(-1, 1),))
        return Request(
            messages=self._messages(rng, images),
            sampling=self._sampling(rng, structured=kind != "words", searched=whole),
            memvr=None if whole else rng.choice((True, False, None, *self._material.memvr)),
            timeout=timeout,
            decoding=decoding,
            response_format=_schema(rng) if kind == "schema" else None,
            tools=_tools(rng) if kind == "tools" else (),
            tool_choice=rng.choice(("auto", "required", "paint")) if kind == "tools" else "auto",
        )

    def _images(self, rng: random.Random) -> list[Image]:
        count = rng.choices((0, 1, 2, 3, self._material.most), (0.25, 0.5, 0.15, 0.08, 0.02))[0]
        return [
            Image(_in_some_form(rng, rng.choice(self._material.pictures))) for _ in range(count)
        ]

    def _messages(self, rng: random.Random, images: Sequence[Image]) -> tuple[Message, ...]:
        question = " ".join(rng.choices(WORDS, k=rng.randint(2, 14))) + "?"
        messages = [Message("user", [*images, question])]
        match rng.choice(("alone", "alone", "system", "turns", "called")):
            case "system":
                messages.insert(0, Message("system", "Be brief."))
            case "turns":
                messages += [Message("assistant", "Yes."), Message("user", f"Sure? {question}")]
            case "called":
                call = ToolCall(id="1", name="paint", arguments='{"colour": "red"}')
                result = Message("tool", "It is red now.", name="paint")
                messages += [Message("assistant", "", tool_calls=[call]), result]
        return tuple(messages)

    def _sampling(self, rng: random.Random, *, structured: bool, searched: bool) -> SamplingParams:
        most = rng.randint(24, 48) if structured else rng.randint(1, 6 if searched else 20)
        stop = rng.sample(("e", " a", "th", "in", "\n", "zq"), rng.choice((0, 0, 0, 1, 3)))
        if searched or rng.random() < 0.5:
            return SamplingParams(max_tokens=most, stop=stop)
        return SamplingParams(
            max_tokens=most,
            stop=stop,
            temperature=rng.choice((0.3, 1.0, 1.7)),
            top_k=rng.choice((0, 0, 5)),
            top_p=rng.choice((1.0, 1.0, 0.8)),
            min_p=rng.choice((0.0, 0.0, 0.05)),
            repetition_penalty=rng.choice((1.0, 1.0, 1.3)),
            seed=rng.randrange(2**40),
            n=rng.choice((1, 1, 1, 2, 3)),
        )

    def _strategy(self, rng: random.Random, *, plain: bool) -> DecodingConfig | None:
        if rng.random() < 0.7:
            return None
        known = [kind for kind in STRATEGIES.values() if not (plain and kind.whole)]
        kind = rng.choice(known)
        settings = SETTINGS.get(kind.name, {})
        if kind.name == "contrastive":
            settings = {"student": self._material.student}
        return kind.from_dict(settings)


def _in_some_form(rng: random.Random, picture: Pillow.Image) -> Pillow.Image | bytes | str:
    form = rng.choice(("PIL", "PNG", "data URL"))
    if form == "PIL":
        return picture
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    if form == "PNG":
        return buffer.getvalue()
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _schema(rng: random.Random) -> dict[str, object]:
    """An object with one to three fields; some hundreds of different ones."""
    fields: dict[str, object] = {
        "colour": {"enum": rng.sample(COLOURS, rng.randint(1, 4))},
        "count": {"type": "integer", "minimum": 0, "maximum": rng.randint(1, 9)},
        "sure": {"type": "boolean"},
        "name": {"type": "string", "maxLength": rng.randint(1, 5)},
    }
    names = rng.sample(sorted(fields), rng.randint(1, 3))
    return {
        "type": "object",
        "properties": {name: fields[name] for name in names},
        "required": names,
        "additionalProperties": False,
    }


def _tools(rng: random.Random) -> tuple[Tool, ...]:
    painted = {
        "type": "object",
        "properties": {"colour": {"enum": rng.sample(COLOURS, 2)}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    return (Tool(name="paint", description="Paints it.", parameters=painted), Tool(name="stop"))
