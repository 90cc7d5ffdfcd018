"""How much sight looking twice carries: the right image against three controls.

With attention free, and blindfolded from some layer on. The setting is chosen on dev scenes for
each; everything that is told was measured on others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bundled_model.exam.trials import CONTROLS, Condition, Evidence, Outcome
from memvr_integrations.evaluate.benchmarks.scene_questions import auc
from memvr_integrations.evaluate.running.statistics import by_image, share
from memvr_integrations.memvr import MemVRConfig

OFF, RIGHT = "off", "MemVR"


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What one way of decoding said: to yes/no questions, and counts of its captions."""

    outcome: Outcome
    captions: Tensor


def sight(
    evidence: Evidence,
    dev: Condition,
    test: Condition,
    layers: Sequence[int | None],
    settings: Sequence[MemVRConfig],
) -> Iterator[str]:
    """Lines of a table: for every blindfold (None: attention is free) all ways of decoding.

    "Right" is balanced: always saying the same is worth 50.
    """
    yield (
        "| blindfold | decoding | right | MemVR over it | AUC | CHAIR_i | recall | window, ratio |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for layer in layers:
        with evidence.examinee.blindfolded(layer):
            config = _chosen(evidence, dev, settings)
            found = {OFF: _answers(evidence, test, None, None)}
            found |= {RIGHT: _answers(evidence, test, config, None)}
            found |= {name: _answers(evidence, test, config, name) for name in CONTROLS}
        for name, answers in found.items():
            yield _line(layer, name, answers, found[RIGHT], test, config)


def _line(
    layer: int | None,
    name: str,
    answers: _Answers,
    mine: _Answers,
    test: Condition,
    config: MemVRConfig,
) -> str:
    mentions, wrong, there, named = answers.captions.T
    setting = f"{config.starting_layer}-{config.ending_layer}, {config.retracing_ratio}"
    cells = [
        "none" if layer is None else f"from layer {layer}",
        name,
        str(share(*_balanced(answers.outcome.right(test), test))),
        "" if name == RIGHT else share(*_gain(mine, answers, test)).signed(),
        f"{100 * auc(answers.outcome.margins, test.truth):.1f}",
        str(share(wrong, mentions)),
        str(share(named, there)),
        setting if name == RIGHT else "",
    ]
    return "| " + " | ".join(cells) + " |"


def _answers(
    evidence: Evidence, test: Condition, config: MemVRConfig | None, control: str | None
) -> _Answers:
    return _Answers(
        outcome=evidence.ask(test, config, control),
        captions=evidence.captions(test, config, control),
    )


def _chosen(evidence: Evidence, dev: Condition, settings: Sequence[MemVRConfig]) -> MemVRConfig:
    def accuracy(config: MemVRConfig) -> float:
        return share(*_balanced(evidence.ask(dev, config).right(dev), dev)).value

    return settings[0] if len(settings) == 1 else max(settings, key=accuracy)


def _balanced(values: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
    """Per image sums of values and of weights, in which yes and no weigh the same."""
    truth, images = condition.truth, len(condition.scenes)
    weights = torch.where(truth, 1 / truth.sum().clamp(min=1), 1 / (~truth).sum().clamp(min=1))
    owners = condition.owners
    return by_image(values * weights, owners, images), by_image(weights, owners, images)


def _gain(mine: _Answers, other: _Answers, test: Condition) -> tuple[Tensor, Tensor]:
    change = mine.outcome.right(test).double() - other.outcome.right(test).double()
    return _balanced(change, test)
