"""Measuring a model: benchmarks, ways of decoding side by side, and how sure a figure is."""

from typing import TYPE_CHECKING

from memvr_integrations._lazy import lazily

if TYPE_CHECKING:
    from memvr_integrations.evaluate.benchmarks.benchmark import Benchmark, Question
    from memvr_integrations.evaluate.benchmarks.bundled_scenes import load_scenes
    from memvr_integrations.evaluate.benchmarks.catalog import load_benchmark
    from memvr_integrations.evaluate.running.asking import Asking, Strategy
    from memvr_integrations.evaluate.running.blindfold import Blindfold
    from memvr_integrations.evaluate.running.calibration import Calibrating, Calibration, candidates
    from memvr_integrations.evaluate.running.evaluation import evaluate
    from memvr_integrations.evaluate.running.report.line import Line
    from memvr_integrations.evaluate.running.runs import Run
    from memvr_integrations.evaluate.running.self_labelled import Labelling, Things, images_in
    from memvr_integrations.evaluate.running.statistics import (
        Estimate,
        by_image,
        intervals,
        mcnemar,
        paired_differences,
        share,
    )
    from memvr_integrations.evaluate.running.ways import strategies

# By module, so that the names of benchmarks and ways are read without torch.
_MODULES = {
    "benchmarks.benchmark": ("Benchmark", "Question"),
    "benchmarks.bundled_scenes": ("load_scenes",),
    "benchmarks.catalog": ("load_benchmark",),
    "running.asking": ("Asking", "Strategy"),
    "running.blindfold": ("Blindfold",),
    "running.calibration": ("Calibrating", "Calibration", "candidates"),
    "running.evaluation": ("evaluate",),
    "running.report.line": ("Line",),
    "running.runs": ("Run",),
    "running.self_labelled": ("Labelling", "Things", "images_in"),
    "running.statistics": (
        "Estimate",
        "by_image",
        "intervals",
        "mcnemar",
        "paired_differences",
        "share",
    ),
    "running.ways": ("strategies",),
}
__getattr__ = lazily(
    __name__, {name: module for module, names in _MODULES.items() for name in names}
)

__all__ = [
    "Asking",
    "Benchmark",
    "Blindfold",
    "Calibrating",
    "Calibration",
    "Estimate",
    "Labelling",
    "Line",
    "Question",
    "Run",
    "Strategy",
    "Things",
    "by_image",
    "candidates",
    "evaluate",
    "images_in",
    "intervals",
    "load_benchmark",
    "load_scenes",
    "mcnemar",
    "paired_differences",
    "share",
    "strategies",
]
