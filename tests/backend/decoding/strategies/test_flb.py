"""First-logit boosting against its formula."""

import math

import decoding_reference as reference

from memvr_integrations.types.decoding import FLBConfig


def test_it_is_its_formula(backend, loaded, ask, scenes, endless):
    config = FLBConfig(alpha=1.2, rate=0.4, beta=0.01)
    with endless(backend):
        [answer] = backend.generate(
            ask("Describe it.", 3, max_tokens=9, memvr=None, decoding=config)
        )
    reader = reference.read(loaded, scenes, "Describe it.", 3)
    first = reader.logits([])

    def step(ids):
        own = reader.logits(ids)
        return reference.cut(own + 1.2 * (1 - math.exp(-0.4 * len(ids))) * first, own, 0.01)

    reference.same(answer, *reference.greedy(step, 9))
