"""The benchmarks by name."""

from collections.abc import Callable
from pathlib import Path

from memvr_integrations.errors import BenchmarkError, ConfigError, did_you_mean
from memvr_integrations.evaluate.benchmarks.amber import load_amber
from memvr_integrations.evaluate.benchmarks.benchmark import Benchmark
from memvr_integrations.evaluate.benchmarks.chair import load_chair
from memvr_integrations.evaluate.benchmarks.hallusion_bench import load_hallusion_bench
from memvr_integrations.evaluate.benchmarks.judged import load_llava_bench, load_mm_vet
from memvr_integrations.evaluate.benchmarks.mme import load_mme
from memvr_integrations.evaluate.benchmarks.mmvp import load_mmvp
from memvr_integrations.evaluate.benchmarks.own.data import SUFFIXES, is_own, load_own
from memvr_integrations.evaluate.benchmarks.pope import load_pope
from memvr_integrations.evaluate.benchmarks.vizwiz import load_vizwiz

SCENES = "scenes"
SELF = "self"  # no benchmark of its own: a model labels pictures for itself


FROM_FOLDERS: dict[str, Callable[[Path], Benchmark]] = {
    "pope": load_pope,
    "chair": load_chair,
    "mme": load_mme,
    "amber": load_amber,
    "hallusionbench": load_hallusion_bench,
    "mmvp": load_mmvp,
    "vizwiz": load_vizwiz,
    "mm-vet": load_mm_vet,
    "llava-bench": load_llava_bench,
}
NAMES = (SCENES, *FROM_FOLDERS)


def load_benchmark(name: str, folder: Path | None = None) -> Benchmark:
    """A benchmark by its name, or out of a CSV or JSONL file of your own by its path.

    All named ones but `scenes` are read from a folder with the published files.

    Raises:
        ConfigError: No benchmark has this name, or one that needs none is given a folder.
        BenchmarkError: The folder or a file is missing or malformed.
    """
    if is_own(name):
        if folder is not None:
            raise ConfigError(
                f"The pictures of {name!r} are found from where it lies; leave the folder out."
            )
        return load_own(Path(name))
    if name == SCENES:
        if folder is not None:
            raise ConfigError(f"The benchmark {SCENES!r} is drawn, not read; leave the folder out.")
        from memvr_integrations.evaluate.benchmarks.bundled_scenes import (
            load_scenes,  # brings torch
        )

        return load_scenes()
    if name not in FROM_FOLDERS:
        raise ConfigError(
            f"There is no benchmark {name!r}; there are {', '.join(NAMES)}, and files of your own "
            f"that end in {' or '.join(SUFFIXES)}." + did_you_mean(name.lower(), NAMES)
        )
    if folder is None:
        raise BenchmarkError(
            f"The benchmark {name!r} is read from a folder; say which. An empty one will do to "
            "learn what to download and where."
        )
    return FROM_FOLDERS[name](folder)
