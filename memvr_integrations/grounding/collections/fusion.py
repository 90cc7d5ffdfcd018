"""Several searches as one: reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009)."""

from collections.abc import Sequence

WORDS, VECTORS = 1.0, 0.2
"""How much a search by words and one by vectors count: measured, see `docs/llama-index.md`."""
_SMOOTHING = 60  # theirs: how little the first places stand out


def fused(rankings: Sequence[tuple[float, Sequence[str]]]) -> dict[str, float]:
    """Ids with their scores, best first, of rankings with a weight each.

    A ranking gives an id its weight / (60 + its place, from 1); equal scores keep the order in
    which they come.
    """
    scores: dict[str, float] = {}
    for weight, ranking in rankings:
        for place, one in enumerate(ranking, start=1):
            scores[one] = scores.get(one, 0.0) + weight / (_SMOOTHING + place)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))
