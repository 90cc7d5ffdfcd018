"""How alike probes decide, and their price: `python -m memvr_integrations.evaluate.costs.probes`.

A model describes drawn scenes and answers questions about them, with MemVR on, and every probe
reads the same states beside the whole head, whose decisions count: so what is compared are the
decisions that real answers take. A third of the rows each has a threshold of .5, .75 or .9. The
cost is the processor time of one probe of one row, as a share of the whole head's.
"""

import argparse
import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import PIL.Image
import torch
from torch import Tensor, nn
from transformers import BatchFeature

from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import LoadedModel, load_model
from memvr_integrations.bundled import KNOWN_THEMES
from memvr_integrations.bundled.world.scenes import SPRITES, Sprites, draw_scene
from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr import (
    ExactProbe,
    MemVRConfig,
    Probe,
    ReuseProbe,
    Screen,
    StrictProbe,
    find_anatomy,
    retracing,
)

THRESHOLDS = (0.5, 0.75, 0.9)
_QUESTIONS = (
    "Describe the image.",
    "What is in the picture?",
    "How many animals are there?",
    "Is there a dog in the picture?",
    "What is to the left of the tree?",
    "What color is the ball?",
    "List what you see.",
    "Is it day or night?",
)


@dataclass
class Beside:
    """What one probe did where the whole head decided."""

    probe: Probe
    seconds: float = 0.0
    off: float = 0.0  # the largest difference of an entropy
    # How far from the threshold the whole head was, where this one decided otherwise.
    differed: list[float] = field(default_factory=list)

    def read(self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Tensor) -> Tensor:
        """Read as the probe does, and add the time."""
        started = time.thread_time()
        found = self.probe(hidden, thresholds, waiting, first)
        self.seconds += time.thread_time() - started
        return found


class Comparing:
    """A probe that decides as the whole head does, and compares others with it."""

    def __init__(self, exact: Probe, others: dict[str, Probe]) -> None:
        """Compare `others`, by name, with `exact`."""
        self.exact = Beside(exact)
        self.others = {name: Beside(probe) for name, probe in others.items()}
        self.decisions = 0

    def begin(self) -> None:
        """Begin a forward pass in all of them."""
        for one in (self.exact, *self.others.values()):
            one.probe.begin()

    def __call__(
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Tensor
    ) -> Tensor:
        """Read the entropies of the whole head, and note where others decide otherwise."""
        exact = self.exact.read(hidden, thresholds, waiting, first)
        self.decisions += int(waiting.sum())
        for one in self.others.values():
            found = one.read(hidden, thresholds, waiting, first)
            wrong = ((found > thresholds) != (exact > thresholds)) & waiting
            one.differed += (exact - thresholds).abs()[wrong].tolist()
            one.off = max(one.off, float(((found - exact).abs() * waiting).nan_to_num().max()))
        return exact


def compare(loaded: LoadedModel, config: MemVRConfig, decisions: int, rows: int) -> Comparing:
    """Answer until so many decisions are compared, `rows` at once.

    Raises:
        UnsupportedModelError: The head or the machine has no int8 product.
    """
    anatomy = find_anatomy(loaded.model)
    head, softcap = anatomy.head, anatomy.softcap
    screen = Screen.of(head.weight, head.bias) if isinstance(head, nn.Linear) else None
    if not isinstance(head, nn.Linear) or screen is None:
        raise UnsupportedModelError(
            f"The head of {loaded.name} has no int8 product on this machine, so its probes have "
            "nothing to be compared with. Run it on a CPU of x86 in float32."
        )
    comparing = Comparing(
        ExactProbe(head, "top10", softcap),
        {
            "strict": StrictProbe(head, screen, softcap),
            "reuse, int8 screen": ReuseProbe(head, screen, softcap),
            "reuse, best of the first layer": ReuseProbe(head, None, softcap),
        },
    )
    thresholds = itertools.cycle(THRESHOLDS)
    configs = [replace(config, entropy_threshold=next(thresholds)) for _ in range(rows)]
    generate: Callable[..., Tensor] = loaded.model.generate  # type: ignore[assignment]
    for at, inputs in enumerate(_prompts(loaded, rows)):
        if comparing.decisions >= decisions:
            break
        torch.manual_seed(at)
        options = {"do_sample": True, "temperature": 1.2} if at % 2 else {"do_sample": False}
        with retracing(loaded.model, configs, probe=comparing):
            generate(**inputs, max_new_tokens=40, **options)
    return comparing


def _prompts(loaded: LoadedModel, rows: int) -> Iterator[BatchFeature]:
    rng, sprites = random.Random(0), Sprites(SPRITES)
    loaded.processor.tokenizer.padding_side = "left"
    while True:
        conversations = []
        for _ in range(rows):
            image = PIL.Image.fromarray(draw_scene(rng, sprites, KNOWN_THEMES).pixels)
            text = {"type": "text", "text": rng.choice(_QUESTIONS)}
            content = [{"type": "image", "image": image}, text]
            conversations.append([{"role": "user", "content": content}])
        inputs: BatchFeature = loaded.processor.apply_chat_template(  # type: ignore[assignment]
            conversations,  # type: ignore[arg-type]  # for text alone
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
            processor_kwargs={"padding": True},
        )
        yield inputs


def table(found: Comparing) -> Iterator[str]:
    """A line a probe."""
    yield (
        "| probe | decisions | different | per 10,000 | largest distance from the threshold "
        "| entropies off by at most | proven | cost / whole head |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, one in found.others.items():
        strict = one.probe if isinstance(one.probe, StrictProbe) else None
        cells = (
            name,
            f"{found.decisions:,}",
            str(len(one.differed)),
            f"{1e4 * len(one.differed) / found.decisions:.2f}",
            f"{max(one.differed):.4f}" if one.differed else "-",
            f"{one.off:.1e}",
            f"{100 * strict.proven / strict.asked:.2f} %" if strict else "-",
            f"{one.seconds / found.exact.seconds:.2f}",
        )
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Parse the options, compare, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", default="bundled", help="a catalog name, directory or hub id")
    parser.add_argument("--decisions", type=int, default=100_000, help="rows times probed layers")
    parser.add_argument("--rows", type=int, default=24, help="answers at once; 1 shows the cost")
    args = parser.parse_args()
    loaded = load_model(args.model, LoadConfig(device="cpu", progress=False))
    config = (loaded.row.preset if loaded.row else None) or MemVRConfig.preset("llava").for_depth(
        len(find_anatomy(loaded.model).layers)
    )
    with torch.inference_mode():
        found = compare(loaded, config, args.decisions, args.rows)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
