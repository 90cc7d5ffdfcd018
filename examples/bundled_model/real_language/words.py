"""The projector's cheap start: what a patch shows, as the word for it.

A minute of regression: the embedding of the class's word where a patch shows one, that of a line
break elsewhere (with the mean of all embeddings there, captions are about anything).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bundled_model.training import patch_targets
from bundled_model.training.stages.vision import clear_pixels
from memvr_integrations.bundled.world import Scene

_STEPS, _RATE = 900, 2e-3
_THINGS, _NOTHING = 640, 128  # patches a step
_TESTED = 100  # scenes that are not fitted
_AT_ONCE = 50


def fit_words(
    bridge: nn.Sequential,
    tower: nn.Module,
    scenes: Sequence[Scene],
    words: Tensor,
    *,
    steps: int = _STEPS,
) -> dict[str, float]:
    """Fit a projector to `words` (background and classes, width); figures on other scenes."""
    seen = _seen(tower, scenes)
    labels = patch_targets.targets(scenes).classes.flatten(1)
    fitted, tested = seen[:-_TESTED].flatten(0, 1), seen[-_TESTED:].flatten(0, 1)
    here, there = labels[:-_TESTED].flatten(), labels[-_TESTED:].flatten()
    first = bridge[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():  # features are large: units would saturate
        first.weight.normal_(0, 1 / float(fitted[:20_000].std(0).mean()) / first.in_features**0.5)
        first.bias.zero_()
    things, nothing = (here > 0).nonzero()[:, 0], (here == 0).nonzero()[:, 0]
    optimizer = torch.optim.AdamW(bridge.parameters(), lr=_RATE, weight_decay=0.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, 2 * (1 - step / steps))
        at = torch.cat([
            things[torch.randint(len(things), (_THINGS,))],
            nothing[torch.randint(len(nothing), (_NOTHING,))],
        ])  # fmt: skip
        loss = (bridge(fitted[at]) - words[here[at]]).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        read = F.normalize(bridge(tested), dim=1) @ F.normalize(words, dim=1).T
        right = (read.argmax(1) == there)[there > 0].float().mean()
    return {"words' loss": float(loss.detach()), "patches read rightly": float(right)}


@torch.no_grad()
def _seen(tower: nn.Module, scenes: Sequence[Scene]) -> Tensor:
    parts = []
    for start in range(0, len(scenes), _AT_ONCE):
        images = clear_pixels(list(scenes[start : start + _AT_ONCE]))
        parts.append(tower(pixel_values=images, output_hidden_states=True).hidden_states[-1])
    return torch.cat(parts)
