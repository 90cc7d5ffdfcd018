"""How much sight retracing carries: the right image against three controls.

With attention free, and blindfolded from some layer on. The setting is chosen on dev scenes for
each; everything in the table was measured on others.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bundled_model.exam.trials import RIGHT, Condition, Evidence, Outcome, ways
from memvr_integrations.evaluate import by_image, share
from memvr_integrations.memvr import MemVRConfig


def controls_table(
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
            mine = evidence.ask(test, config)
            for name, way in ways(config).items():
                outcome = mine if name == RIGHT else evidence.ask(test, *way)
                mentions, wrong, there, named = evidence.captions(test, *way).T
                setting = f"{config.starting_layer}-{config.ending_layer}, {config.retracing_ratio}"
                cells = [
                    "none" if layer is None else f"from layer {layer}",
                    name,
                    str(share(*_balanced(outcome.right(test), test))),
                    "" if name == RIGHT else share(*_gain(mine, outcome, test)).signed(),
                    f"{evidence.auc(test, *way):.1f}",
                    str(share(wrong, mentions)),
                    str(share(named, there)),
                    setting if name == RIGHT else "",
                ]
                yield "| " + " | ".join(cells) + " |"


def _chosen(evidence: Evidence, dev: Condition, settings: Sequence[MemVRConfig]) -> MemVRConfig:
    def accuracy(config: MemVRConfig) -> float:
        return share(*_balanced(evidence.ask(dev, config).right(dev), dev)).value

    return max(settings, key=accuracy) if len(settings) > 1 else settings[0]


def _balanced(values: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
    """Per image sums of values and of weights, in which yes and no weigh the same."""
    truth, images = condition.truth, len(condition.scenes)
    weights = torch.where(truth, 1 / truth.sum().clamp(min=1), 1 / (~truth).sum().clamp(min=1))
    owners = condition.owners
    return by_image(values * weights, owners, images), by_image(weights, owners, images)


def _gain(mine: Outcome, other: Outcome, test: Condition) -> tuple[Tensor, Tensor]:
    change = mine.right(test).double() - other.right(test).double()
    return _balanced(change, test)
