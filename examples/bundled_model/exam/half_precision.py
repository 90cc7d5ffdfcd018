"""What bfloat16 changes in the exam: `python -m bundled_model.exam.half_precision`.

The same questions in float32 and in bfloat16 on a CPU: how many are answered rightly, how many
answers differ at all, and how long a token takes. Nothing else should run meanwhile.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from bundled_model.exam.examinee import Examinee, Precision, Prompt, about, says_yes
from bundled_model.exam.scene_marks import attributes, caption_counts, is_right
from bundled_model.exam.trials import Condition, Evidence
from memvr_integrations.backend import Backend, Completion, Request
from memvr_integrations.bundled import KNOWN_THEMES, PRESET, WEIGHTS
from memvr_integrations.bundled.world import SPRITES
from memvr_integrations.evaluate import Estimate, by_image, share
from memvr_integrations.evaluate.benchmarks.scene_questions import CAPTION, held_out_scenes

_KINDS: tuple[Precision, Precision] = ("float32", "bfloat16")
_WAYS = {"MemVR off": None, "MemVR": PRESET}
_TEST_SEED = 11  # of the exam's scenes


@dataclass(frozen=True, kw_only=True)
class _Paper:
    """Questions of one kind, and the share of them that some answers get right."""

    name: str
    prompts: Sequence[Prompt]
    tokens: int
    right: Callable[[Sequence[Completion]], Estimate]


def _papers(condition: Condition) -> Iterator[_Paper]:
    images, asked = len(condition.scenes), attributes(condition.scenes)

    def shared(hits: Sequence[bool], owners: Sequence[int]) -> Estimate:
        right = torch.tensor(hits)
        return share(
            by_image(right, owners, images), by_image(torch.ones_like(right), owners, images)
        )

    def yes_no(done: Sequence[Completion]) -> Estimate:
        truths = condition.truth.tolist()
        hits = [says_yes(one) == true for one, true in zip(done, truths, strict=True)]
        return shared(hits, condition.owners)

    def words(done: Sequence[Completion]) -> Estimate:
        hits = [is_right(one, said.text) for one, said in zip(asked, done, strict=True)]
        return shared(hits, [one.scene for one in asked])

    def named(done: Sequence[Completion]) -> Estimate:
        _, _, there, found = caption_counts(condition.scenes, [one.text for one in done]).T
        return share(found, there)

    yield _Paper(name="yes/no", prompts=condition.prompts, tokens=1, right=yes_no)
    prompts = [about(one.scene, one.question) for one in asked]
    yield _Paper(name="colours and counts", prompts=prompts, tokens=30, right=words)
    prompts = [about(index, CAPTION) for index in range(images)]
    yield _Paper(name="things named in captions", prompts=prompts, tokens=60, right=named)


def answers(condition: Condition, examinees: Sequence[Examinee]) -> Iterator[str]:
    """What each of two gets right, and how often they answer otherwise; lines of a table."""
    yield f"| right, in percent | {' | '.join(_KINDS)} | answers that differ |"
    yield "|---|---|---|---|"
    for way, config in _WAYS.items():
        for paper in _papers(condition):
            said = [
                one.ask(condition.pictures, paper.prompts, config=config, tokens=paper.tokens)
                for one in examinees
            ]
            differ = sum(one.text != other.text for one, other in zip(*said, strict=True))
            cells = [*map(paper.right, said), f"{differ} of {len(paper.prompts)}"]
            yield f"| {paper.name}, {way} | {' | '.join(map(str, cells))} |"


def times(condition: Condition, examinees: Sequence[Examinee], rounds: int) -> Iterator[str]:
    """Milliseconds a token after the first, and the ratio in each round; lines of a table."""
    yield f"| decode, ms a token: median (range) | {' | '.join(_KINDS)} | ratio |"
    yield "|---|---|---|---|"
    for way, config in _WAYS.items():
        taken: list[list[float]] = [[], []]
        for turn in range(rounds + 1):
            message = about(turn % len(condition.scenes), CAPTION).messages(condition.pictures)
            request = Request(messages=message, memvr=config)
            for one, times in zip(examinees, taken, strict=True):
                a_token = _a_token(one.backend, request)
                if turn:  # the first one prepares
                    times.append(a_token)
        full, half = taken
        ratios = [other / one for one, other in zip(full, half, strict=True)]
        yield f"| {way} | {' | '.join(map(_spread, (full, half, ratios)))} |"


def _a_token(backend: Backend, request: Request) -> float:
    """Milliseconds a token, from the first one to the last."""
    arrivals = [time.perf_counter() for chunk in backend.stream(request) if chunk.tokens]
    return 1000 * (arrivals[-1] - arrivals[0]) / (len(arrivals) - 1)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def multiplies() -> str:
    """Whether this machine has instructions that multiply bfloat16."""
    known = {
        "AVX512-BF16": torch.cpu._is_avx512_bf16_supported(),
        "AMX": torch.cpu._is_amx_tile_supported(),
    }
    return " and ".join(name for name, there in known.items() if there) or "no instructions"


def main(arguments: list[str] | None = None) -> None:
    """Parse the options, measure, print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=300, help="of the exam (300)")
    parser.add_argument("--rounds", type=int, default=20, help="of all ways, in turn (20)")
    args = parser.parse_args(arguments)
    print(f"This machine has {multiplies()} for bfloat16.\n")
    scenes = held_out_scenes(args.scenes, themes=KNOWN_THEMES, seed=_TEST_SEED, files=[SPRITES])
    examinees = [Examinee(WEIGHTS, kind) for kind in _KINDS]
    condition = Evidence(examinees[0], KNOWN_THEMES).condition("clean", scenes)
    for line in answers(condition, examinees):
        print(line, flush=True)
    print()
    for line in times(condition, examinees, args.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
