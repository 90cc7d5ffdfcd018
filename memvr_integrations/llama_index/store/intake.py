"""Takes images into a collection: describes them, embeds them, keeps them, or says why not."""

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from tqdm.auto import tqdm

from memvr_integrations.errors import ImageError
from memvr_integrations.llama_index.llm.warning import warn
from memvr_integrations.llama_index.store.captions import CaptionImages
from memvr_integrations.llama_index.store.images import Entry, is_file
from memvr_integrations.llama_index.store.metadata import Metadata
from memvr_integrations.llama_index.store.records import Record, Records


class Intake:
    """What goes into a collection, in batches; `failures` says what did not, and why."""

    def __init__(
        self,
        *,
        records: Records,
        captions: CaptionImages,
        embed_model: BaseEmbedding,
        vector_store: BasePydanticVectorStore,
        batch_size: int,
        show_progress: bool,
    ) -> None:
        """`batch_size` images are described together, and are on disk before the next ones."""
        self._records, self._captions = records, captions
        self._embed_model, self._store = embed_model, vector_store
        self._batch_size, self._show_progress = batch_size, show_progress
        self.failures: dict[str, str] = {}

    async def take_in(self, entries: Sequence[Entry]) -> None:
        """Describe what is new or changed; what changed and can't be read any more is forgotten."""
        known = self._records.stamps()
        changed: list[Entry] = []
        relabelled: dict[str, Metadata] = {}
        for entry in {entry.id: entry for entry in entries}.values():
            stamp, before = known.get(entry.id, (None, {}))
            kept = replace(entry, metadata=before if entry.metadata is None else entry.metadata)
            if stamp is None or stamp != entry.stamp:
                changed.append(kept)
            elif kept.metadata != before:
                relabelled[entry.id] = kept.metadata or {}
        self._relabel(relabelled)
        with tqdm(total=len(changed), disable=not self._show_progress, unit="image") as bar:
            for start in range(0, len(changed), self._batch_size):
                batch = changed[start : start + self._batch_size]
                await self._take_in_batch(batch)
                bar.update(len(batch))

    def report(self, entries: Sequence[Entry], failed: Mapping[str, str]) -> list[str]:
        """Warn of what was left out, `failed` beside what `take_in` found; returns the others' ids.

        Apart from `take_in`, so that the warning points to the caller's line.
        """
        unique = {entry.source: entry.id for entry in entries}
        missing = [source for source in unique if source in self.failures]
        for number in [one for one in self.failures if one.startswith("image ")]:
            del self.failures[number]  # of an earlier call, whose images had other numbers
        self.failures |= failed
        if left_out := [*failed, *missing]:
            warn(
                f"{len(left_out)} of {len(unique) + len(failed)} images could not be read and were "
                f"left out, the first: {self.failures[left_out[0]].rstrip('.')}. See the "
                "collection's `failures`."
            )
        return [one for source, one in unique.items() if source not in self.failures]

    def forget(self, ids: Sequence[str]) -> None:
        """Forget images, by id."""
        if ids:
            self._store.delete_nodes(list(ids))
            self._records.remove(ids)

    def _relabel(self, metadata: Mapping[str, Metadata]) -> None:
        records = self._records.get(list(metadata))
        self._keep([replace(record, metadata=metadata[record.id]) for record in records])

    def _keep(self, records: Sequence[Record]) -> None:
        if not records:
            return
        before = [record.id for record in self._records.get([record.id for record in records])]
        if before:
            self._store.delete_nodes(before)
        self._store.add([record.node for record in records])
        self._records.put(records)

    async def _take_in_batch(self, batch: Sequence[Entry]) -> None:
        described = await asyncio.gather(*map(self._describe, batch))
        records = [one for one in described if one is not None]
        if records:
            vectors = await self._embed(records)
            self._keep([replace(r, embedding=v) for r, v in zip(records, vectors, strict=True)])
        lost = [entry.id for entry, one in zip(batch, described, strict=True) if one is None]
        self.forget([record.id for record in self._records.get(lost)])

    async def _describe(self, entry: Entry) -> Record | None:
        stamp = entry.stamp  # before the file is read: what changes meanwhile is seen next time
        try:
            caption = await self._captions.caption(
                Path(entry.source) if is_file(entry.source) else entry.source
            )
        except ImageError as error:
            self.failures[entry.source] = str(error)
            return None
        self.failures.pop(entry.source, None)
        return Record(
            id=entry.id,
            source=entry.source,
            stamp=stamp,
            caption=caption,
            embedding=[],
            metadata=dict(entry.metadata or {}),
        )

    async def _embed(self, records: Sequence[Record]) -> list[list[float]]:
        if not isinstance(self._embed_model, MultiModalEmbedding):
            return await self._embed_model.aget_text_embedding_batch([r.caption for r in records])
        return [await embed_picture(self._embed_model, self._captions, r.source) for r in records]


async def embed_picture(
    model: MultiModalEmbedding, captions: CaptionImages, source: str
) -> list[float]:
    """The vector of a picture: core's embeddings read files, but what URLs may be read we know."""
    if is_file(source):
        return await model.aget_image_embedding(source)
    picture = io.BytesIO()
    (await captions.picture(source)).save(picture, "PNG")
    picture.seek(0)
    return await model.aget_image_embedding(picture)
