"""Logit lens: which word the model's head reads at each visual token, "what is this patch?".

The probability of the answer's token at each visual token's place, after the middle layer: of the
token itself, so it says little of an answer such as "Yes".
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from memvr_integrations.explain.methods.method import Found, Slice
from memvr_integrations.explain.reading import Reader, Target
from memvr_integrations.explain.replay import Replay
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.memvr.arming.calls import states_in
from memvr_integrations.memvr.uncertainty import capped


def logit_lens(
    reader: Reader, targets: Sequence[Target], replay: Replay | None, found: Found
) -> list[Slice]:
    """One slice of work that fills `found`: probabilities, 0 to 1."""

    @torch.no_grad()
    def read() -> None:
        anatomy = find_anatomy(reader.model)
        seen: list[Tensor] = []

        def keep(module: nn.Module, args: object, out: object) -> None:
            seen.append(states_in(out, module))

        handle = anatomy.layers[len(anatomy.layers) // 2].register_forward_hook(keep)
        try:
            if replay is None:
                logits = reader.logits([reader.visual])
            else:
                with replay.acting():
                    logits = reader.logits([reader.visual])
        finally:
            handle.remove()
        states = seen[0][0, reader.columns.to(seen[0].device)]
        lens = capped(anatomy.head(anatomy.norm(states)), anatomy.softcap).float().softmax(-1)
        for target in targets:
            found.values[target.place] = lens[:, target.token].cpu()
            found.scores[target.place] = float(target.score(logits)[0])

    return [read]
