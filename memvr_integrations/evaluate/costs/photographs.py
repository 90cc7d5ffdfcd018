"""What large pictures cost: `python -m memvr_integrations.evaluate.costs.photographs`.

A scene as a JPEG of 4000 x 3000 pixels and the same scene at 640 x 480 are asked about in turn,
each round another one. "Index" is what `ImageCollectionIndex` does with an image: read it, and
have it described. The questions after it come with the file again: the first finds nothing, the
second finds the features of its picture. All are seconds of CPU time, so that others on the machine
count least; ratios are taken within a round.
"""

import argparse
import io
import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterator

import PIL.Image

from memvr_integrations.backend.images import read_image
from memvr_integrations.backend.serving.backend import Backend
from memvr_integrations.bundled import KNOWN_THEMES
from memvr_integrations.bundled.world.scenes import SPRITES, Sprites, draw_scene
from memvr_integrations.errors import MemVRWarning
from memvr_integrations.grounding.captions import CAPTION_PROMPT
from memvr_integrations.types import Request, SamplingParams
from memvr_integrations.types.image_policy import ImagePolicy

SIZES = {"4000 x 3000": (4000, 3000), "640 x 480": (640, 480)}
_SHORT = SamplingParams(max_tokens=3)


def rounds(backend: Backend, count: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of CPU time by size and by kind of call, after one round to warm up."""
    rng, sprites = random.Random(0), Sprites(SPRITES)
    found: dict[str, dict[str, list[float]]] = {size: {} for size in SIZES}
    for turn in range(count + 1):
        indexed, asked = (
            PIL.Image.fromarray(draw_scene(rng, sprites, KNOWN_THEMES).pixels) for _ in range(2)
        )
        for name, size in SIZES.items():
            taken = _seconds(backend, _jpeg(indexed, size), _jpeg(asked, size))
            for kind, seconds in taken.items():
                if turn:
                    found[name].setdefault(kind, []).append(seconds)
    return found


def _seconds(backend: Backend, indexed: bytes, asked: bytes) -> dict[str, float]:
    def index() -> None:
        backend.generate(Request.ask(CAPTION_PROMPT, read_image(indexed, ImagePolicy())))

    def ask(question: str) -> Callable[[], object]:
        return lambda: backend.generate(Request.ask(question, asked, sampling=_SHORT))

    calls = {
        "index": index,
        "first question": ask("Is there a dog?"),
        "second question": ask("Is there a car?"),
    }
    return {kind: _timed(backend, call) for kind, call in calls.items()}


def _timed(backend: Backend, call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    while backend.busy:  # the last token is reported before the model is let go
        time.sleep(0.0005)
    return time.process_time() - started


def _jpeg(image: PIL.Image.Image, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    image.resize(size, PIL.Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def table(found: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    """Medians in milliseconds, and the ratio within a round as median (smallest-largest)."""
    large, small = found.values()
    yield f"| | {', ms | '.join(found)}, ms | ratio |"
    yield "|---|---|---|---|"
    for kind in large:
        ratios = sorted(one / other for one, other in zip(large[kind], small[kind], strict=True))
        medians = (f"{1000 * statistics.median(size[kind]):.0f}" for size in (large, small))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        yield f"| {' | '.join([kind, *medians, spread])} |"


def main() -> None:
    """Parse the options, run the rounds, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", default="bundled", help="a catalog name, directory or hub id")
    parser.add_argument("--rounds", type=int, default=5, help="of both sizes, taking turns")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    warnings.simplefilter("ignore", MemVRWarning)  # the bundled model knows no photographs
    with Backend.load(args.model, progress=False) as backend:
        print("\n".join(table(rounds(backend, args.rounds))))


if __name__ == "__main__":
    main()
