"""What MemVR costs: `python -m memvr_integrations.evaluate.costs.speed`.

Plain `model.generate`, the backend with MemVR off, and three ways of having it on answer the same
fresh image in turn, round after round, so that whatever else the machine does hits all alike.
Ratios are taken within a round. "Never triggers" pays every probe and no retracing; "always
triggers" stops at the first probe and retraces every token.
"""

import argparse
import datetime
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import PIL.Image
import torch
from torch import Tensor
from transformers import BatchFeature
from transformers.generation.streamers import BaseStreamer

from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import LoadedModel, load_model, pick_device
from memvr_integrations.backend.serving.backend import Backend
from memvr_integrations.bundled import KNOWN_THEMES
from memvr_integrations.bundled.world.scenes import SPRITES, Sprites, draw_scene
from memvr_integrations.evaluate.costs.shapes import SHAPES, random_model
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Request, SamplingParams

_QUESTION = "Describe the image."


@dataclass(frozen=True)
class Timing:
    """Seconds to the first token (`prefill`), for each token after it (`decode`), and for all."""

    prefill: float
    decode: float
    answer: float

    @classmethod
    def between(cls, started: float, arrivals: list[float]) -> "Timing":
        """From the moments at which tokens arrived."""
        steps = max(len(arrivals) - 1, 1)
        first, last = arrivals[0], arrivals[-1]
        return cls(first - started, (last - first) / steps, last - started)


class _Arrivals(BaseStreamer):
    """Notes when each token comes; the first call brings the prompt."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait, self.times, self._prompt_seen = wait, list[float](), False

    def put(self, value: Tensor) -> None:
        if self._prompt_seen:
            self._wait()
            self.times.append(time.perf_counter())
        self._prompt_seen = True

    def end(self) -> None:
        pass


class Bench:
    """One model, asked in several ways."""

    def __init__(self, loaded: LoadedModel, tokens: int) -> None:
        # No token ends an answer, so that all are equally long.
        beyond = loaded.model.config.get_text_config().vocab_size
        loaded.model.generation_config.eos_token_id = beyond
        self._loaded, self._tokens = loaded, tokens
        self._backend = Backend(loaded)
        self._wait: Callable[[], None] = (
            torch.cuda.synchronize if loaded.model.device.type == "cuda" else lambda: None
        )
        preset = self._backend.preset
        self.variants: dict[str, MemVRConfig | None] = {
            "backend, MemVR off": None,
            "backend, MemVR preset": preset,
            "backend, never triggers": replace(preset, entropy_threshold=9.0),
            "backend, always triggers": replace(preset, entropy_threshold=0.0),
        }

    def plain(self, image: PIL.Image.Image) -> Timing:
        """`model.generate` as transformers has it."""
        loaded = self._loaded
        started = time.perf_counter()
        content = [{"type": "image", "image": image}, {"type": "text", "text": _QUESTION}]
        inputs: BatchFeature = loaded.processor.apply_chat_template(  # type: ignore[assignment]
            [{"role": "user", "content": content}],  # type: ignore[arg-type]  # for text alone
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
        )
        inputs = inputs.to(loaded.model.device, loaded.model.dtype)
        arrivals = _Arrivals(self._wait)
        generate: Callable[..., Tensor] = loaded.model.generate  # type: ignore[assignment]
        with torch.inference_mode():
            generate(**inputs, max_new_tokens=self._tokens, do_sample=False, streamer=arrivals)
        return Timing.between(started, arrivals.times)

    def backend(self, image: PIL.Image.Image, config: MemVRConfig | None) -> Timing:
        """The backend's stream."""
        started, times = time.perf_counter(), list[float]()
        request = Request.ask(
            _QUESTION, image, sampling=SamplingParams(max_tokens=self._tokens), memvr=config
        )
        for chunk in self._backend.stream(request):
            times += [time.perf_counter()] * len(chunk.tokens)
        while self._backend.busy:  # the last token is reported before the model is let go
            time.sleep(0.0005)
        return Timing.between(started, times)

    def rounds(self, count: int) -> dict[str, list[Timing]]:
        """Every way in turn, `count` times, after one round to warm up."""
        rng, sprites = random.Random(0), Sprites(SPRITES)
        timings: dict[str, list[Timing]] = {}
        for turn in range(count + 1):
            for name, config in [("model.generate", None), *self.variants.items()]:
                # A fresh image each time: nobody profits from cached features.
                image = PIL.Image.fromarray(draw_scene(rng, sprites, KNOWN_THEMES).pixels)
                plain = name == "model.generate"
                timing = self.plain(image) if plain else self.backend(image, config)
                if turn:
                    timings.setdefault(name, []).append(timing)
        return timings

    def close(self) -> None:
        """Free the model."""
        self._backend.close()


def table(timings: dict[str, list[Timing]]) -> Iterator[str]:
    """Medians, and ratios to `model.generate` of the same round as median (smallest-largest)."""
    yield "| | prefill, ms | decode, tokens/s | answer, ms | prefill ratio | decode ratio |"
    yield "|---|---|---|---|---|---|"
    base = timings["model.generate"]
    for name, measured in timings.items():
        prefill = statistics.median(1000 * t.prefill for t in measured)
        speed = 1 / statistics.median(t.decode for t in measured)
        answer = statistics.median(1000 * t.answer for t in measured)
        pairs = list(zip(measured, base, strict=True))
        ratios = (
            _spread(m.prefill / b.prefill for m, b in pairs),
            _spread(m.decode / b.decode for m, b in pairs),
        )
        cells = (name, f"{prefill:.0f}", f"{speed:.1f}", f"{answer:.0f}", *ratios)
        yield f"| {' | '.join(cells)} |"


def _spread(values: Iterable[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.2f} ({ordered[0]:.2f}-{ordered[-1]:.2f})"


def main() -> None:
    """Parse the options, run the rounds, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--model",
        default="bundled",
        help=f"a catalog name, directory or hub id, or random weights: {', '.join(SHAPES)}",
    )
    parser.add_argument("--rounds", type=int, default=10, help="of all ways, taking turns")
    parser.add_argument("--tokens", type=int, default=32, help="generated tokens an answer")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    args = parser.parse_args()
    if args.rounds < 1 or args.tokens < 2:
        parser.error("--rounds must be at least 1, --tokens at least 2 (the first is the prefill)")
    options = LoadConfig(device=args.device, dtype=args.dtype, progress=False)
    device = pick_device(options.device)
    if args.model in SHAPES:
        auto = torch.float32 if device.type == "cpu" else torch.bfloat16
        dtype = auto if args.dtype == "auto" else getattr(torch, args.dtype)
        loaded = random_model(args.model, SHAPES[args.model](), device, dtype)
    else:
        loaded = load_model(args.model, options)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    print(
        f"{loaded.name}, {loaded.model.num_parameters():,} parameters, {loaded.model.dtype}, "
        f"{where} ({platform.machine()}), torch {torch.__version__}, {datetime.date.today()}, "
        f"{args.rounds} rounds of {args.tokens} tokens\n"
    )
    bench = Bench(loaded, args.tokens)
    print("\n".join(table(bench.rounds(args.rounds))))
    bench.close()


if __name__ == "__main__":
    main()
