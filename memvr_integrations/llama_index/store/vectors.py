"""Vectors in step with their records, also after a process that was killed between the two."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from memvr_integrations.checks import check_kind
from memvr_integrations.errors import ConfigError
from memvr_integrations.llama_index.store.records import Record, Records

_AT_ONCE = 256  # vectors, while other processes wait


class Vectors:
    """The vectors of some records, in a store of LlamaIndex.

    A store takes a vector out and puts the new one in by two calls, and neither of them is one
    with the record. So the ids are noted beside the records first, and whoever opens the
    collection next, or writes to it, repeats what was left half done. Vectors in memory end with
    their process and need none of this.
    """

    def __init__(self, store: BasePydanticVectorStore, records: Records) -> None:
        """`fill` brings a store up to date."""
        self.store, self._records = store, records
        self._in_memory = isinstance(store, SimpleVectorStore)

    def fill(self) -> None:
        """A store that is new, or lost what it had, gets the vectors that are kept on disk."""
        self.mend()
        first = self._records.first()
        if first is None:
            return
        known = VectorStoreQuery(
            query_embedding=first.embedding, similarity_top_k=1, node_ids=[first.id]
        )
        # Each store has errors of its own for a collection that isn't there yet; what else is
        # wrong with a store, `add` says.
        with suppress(Exception):
            # What is found may be another collection's, in a store that several share.
            if self._records.get(ids_of(self.store.query(known))):
                return
        if self._in_memory:
            self.store.add([record.node for record in self._records])
            return
        self._records.note(self._records.stamps())
        self.mend()

    def catch_up(self) -> None:
        """Vectors in memory don't know what another process wrote since it was read last."""
        if self._records.changed_elsewhere() and self._in_memory:
            self.store.add([record.node for record in self._records])

    def mend(self) -> None:
        """Repeat what was left half done, so that the store holds what the records say."""
        noted = [] if self._in_memory else self._records.noted()
        for start in range(0, len(noted), _AT_ONCE):
            with self._records.alone():
                # Another process may have been in the midst of it, and is done now.
                left = set(self._records.noted())
                ids = [one for one in noted[start : start + _AT_ONCE] if one in left]
                if known := self._records.get(ids):
                    self._replace(ids, [record.node for record in known])
                    self._records.settle(ids)
                elif ids:
                    # A store may not know its collection yet. Vectors without a record are passed
                    # over until they can be taken out.
                    with suppress(Exception):
                        self.store.delete_nodes(ids)
                        self._records.settle(ids)

    def put(self, records: Sequence[Record]) -> None:
        """Keep records with their vectors, in the place of what was there under their ids."""
        ids = [record.id for record in records]
        with self._noted(ids) as before:
            self._replace(before, [record.node for record in records])
            self._records.put(records)

    def remove(self, ids: Sequence[str]) -> None:
        """Forget records and their vectors."""
        with self._noted(ids):
            # Vectors without a record are passed over; a record without one is never found.
            self._records.remove(ids)
            self.store.delete_nodes(list(ids))

    @contextmanager
    def _noted(self, ids: Sequence[str]) -> Iterator[list[str]]:
        """A change that a note outlives unless it is done; gives the ids that are known already."""
        if self._in_memory:
            yield [record.id for record in self._records.get(ids)]
            return
        with self._records.alone():
            known = {record.id for record in self._records.get(ids)} | set(self._records.noted())
            self._records.note(ids)
            yield [one for one in ids if one in known]
            self._records.settle(ids)

    def _replace(self, before: Sequence[str], nodes: list[BaseNode]) -> None:
        if before:
            try:
                self.store.delete_nodes(list(before))
            except Exception:
                # Many stores know no collection before something is added; all others fail again.
                self.store.add(nodes[:1])
                self.store.delete_nodes(list(before))
        self.store.add(nodes)


def ids_of(result: VectorStoreQueryResult) -> list[str]:
    """What a store found, whichever way it says so."""
    return result.ids or [node.node_id for node in result.nodes or ()]


def check_store(store: BasePydanticVectorStore | None) -> None:
    """ConfigError for what is no vector store, or one for asyncio alone."""
    check_kind("vector_store", store, BasePydanticVectorStore | None, "QdrantVectorStore(...)")
    if getattr(store, "_aclient", None) and not getattr(store, "_client", None):
        raise ConfigError(
            f"The {type(store).__name__} has a client for asyncio alone; give it one for "
            "ordinary calls too (client=...)."
        )
