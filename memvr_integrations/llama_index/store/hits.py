"""What two searches found, as one list of images that can be shown."""

from collections.abc import Sequence

import numpy as np
from llama_index.core.vector_stores.types import VectorStoreQueryResult

from memvr_integrations.grounding.collections.fusion import fused
from memvr_integrations.llama_index.store.records import Record, Records
from memvr_integrations.llama_index.store.vectors import ids_of

DEEP = 8
"""How many times as many hits of each search are fused as are wanted."""


class Hits:
    """The best images that can be shown; where some can't, the store is asked for more."""

    def __init__(
        self,
        records: Records,
        top_k: int,
        by_words: Sequence[str],
        weights: tuple[float, float],
        vector: Sequence[float],
    ) -> None:
        """`by_words` are ids, best first; `weights` those of words and of vectors."""
        self._records, self._top_k, self._by_words = records, top_k, by_words
        self._weights, self._vector = weights, np.asarray(vector)
        self.wanted, self.complete = top_k * DEEP, False
        self.found: list[tuple[Record, float | None]] = []
        self.lost: list[str] = []

    def take(self, result: VectorStoreQueryResult) -> None:
        """Take the `wanted` best hits; others' vectors in the same store are passed over."""
        ids = ids_of(result)
        scores = dict(zip(ids, result.similarities or [], strict=False))
        known = {one.id: one for one in self._records.get([*ids, *self._by_words])}
        near = [one for one in ids if one in known]
        words, vectors = self._weights
        best = fused([(words, self._by_words), (vectors, near)])
        self.found, self.lost = [], []
        for record in (known[one] for one in best if one in known):
            if len(self.found) == self._top_k:
                break
            if record.is_readable:
                self.found.append((record, scores.get(record.id, self._similarity(record))))
            else:
                self.lost.append(record.source)
        self.complete = len(self.found) == self._top_k or len(ids) < self.wanted
        self.wanted *= 2

    def _similarity(self, record: Record) -> float:
        """The cosine of a record's vector, which the store didn't name among its nearest."""
        own = np.asarray(record.embedding)
        length = float(np.linalg.norm(own) * np.linalg.norm(self._vector))
        return float(own @ self._vector) / length if length else 0.0
